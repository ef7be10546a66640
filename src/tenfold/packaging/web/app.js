// The page: what a person does, and what it shows.

import { CameraError, closeCamera, openCamera, shoot } from "./camera.js";
import { describe } from "./card.js";
import { PictureError, readPicture } from "./image.js";
import { keepOffline } from "./offline.js";

const TOP = 5;
const TINY = 128; // pixels

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [element.id, element]),
);
let latest = 0; // number of the picture that was asked for last: answers to earlier ones are dropped

start().catch(showProblem);

async function start() {
  keepOffline(page);
  const { loadNetwork, readCard } = await import("./network.js").catch(() => {
    throw new Error("A file is missing or damaged. Copy the whole folder to the server again, then reload.");
  });
  const card = await readCard();
  showCard(card);
  const classify = await loadNetwork(card);
  page.summary.textContent = describe(card).summary;
  listen((file) => answer(file, classify, card).catch(showProblem), card.input[2] / card.input[1]);
}

function showCard(card) {
  const { name, rows, remarks } = describe(card);
  document.title = page.name.textContent = name;
  const body = element("tbody", ...rows.map(({ title, was, is }) => row("td", title, was, is)));
  page.figures.append(element("table", element("thead", row("th", "", "it was", "it became")), body));
  page.figures.append(
    element("dl", ...remarks.flatMap(([term, text]) => [element("dt", term), element("dd", text)])),
  );
  page.card.hidden = false;
}

/** Do `take(file)` with whatever picture a person gives; the viewfinder has proportions `aspect`. */
function listen(take, aspect) {
  page.file.addEventListener("change", () => {
    if (page.file.files.length) take(page.file.files[0]);
    page.file.value = ""; // so that choosing the same file again is a change, too
  });
  page.frame.addEventListener("click", () => page.viewfinder.hidden && page.file.click());
  page.frame.addEventListener("dragover", (event) => event.preventDefault());
  page.frame.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  page.viewfinder.style.setProperty("--aspect", aspect);
  page.camera.addEventListener("click", () => toggleCamera().catch(showProblem));
  page.shoot.addEventListener("click", async () => take(await shoot(page.viewfinder, aspect)));
  page.file.disabled = page.camera.disabled = false;
  document.body.dataset.ready = "";
}

async function toggleCamera() {
  if (!page.viewfinder.hidden) return showCamera(false);
  showProblem(null);
  page.camera.disabled = true; // until a person has answered the browser's question
  try {
    await openCamera(page.viewfinder);
    showCamera(true);
  } finally {
    page.camera.disabled = false;
  }
  return undefined;
}

function showCamera(on) {
  if (!on) closeCamera(page.viewfinder);
  page.viewfinder.hidden = page.shoot.hidden = !on;
  page.choose.hidden = on;
  page.camera.textContent = on ? "Close camera" : "Camera";
  page.preview.hidden = on || !page.preview.src;
  page.invitation.hidden = on || Boolean(page.preview.src);
}

/** Classify the picture in `file` and show the answer. */
async function answer(file, classify, card) {
  const number = ++latest;
  showProblem(null);
  document.body.dataset.busy = "";
  try {
    const picture = await readPicture(file);
    const result = await classify(picture);
    if (number !== latest) return;
    showPicture(file, picture);
    showAnswer(result, picture, card);
  } catch (error) {
    if (number !== latest) return;
    page.answer.hidden = true;
    throw error;
  } finally {
    if (number === latest) delete document.body.dataset.busy;
  }
}

function showPicture(file, { width, height }) {
  page.preview.classList.toggle("tiny", Math.max(width, height) < TINY); // whose pixels are worth seeing
  URL.revokeObjectURL(page.preview.src);
  page.preview.src = URL.createObjectURL(file);
  showCamera(false);
}

function showAnswer({ probabilities, preparingMs, networkMs, runs }, picture, card) {
  const order = probabilities.map((_, place) => place).sort((a, b) => probabilities[b] - probabilities[a]);
  page.best.textContent = card.classes[order[0]];
  page.bars.replaceChildren(
    ...order.slice(0, TOP).map((place) => bar(card.classes[place], probabilities[place])),
  );
  page.times.textContent =
    `${milliseconds(networkMs)} for the network${runs > 1 ? ` (mean of ${runs} runs)` : ""}, ` +
    `${milliseconds(preparingMs)} to prepare ${picture.width} × ${picture.height} pixels`;
  page.note.hidden = !picture.approximate;
  page.note.textContent = "Its colours under transparency are only approximate in this browser.";
  page.answer.dataset.probabilities = JSON.stringify(probabilities);
  page.answer.hidden = false;
}

function bar(name, probability) {
  const [track, filled] = [element("div"), element("div")]; // what they show stands beside them as text
  track.append(filled);
  track.className = "track";
  filled.style.width = `${100 * probability}%`;
  return element("li", element("span", name), track, element("output", percent(probability)));
}

/** Show an error, or none. */
function showProblem(error) {
  page.problem.hidden = error === null;
  page.problem.textContent = error === null ? "" : error.message;
  if (error === null) return;
  const expected = [PictureError, CameraError].some((kind) => error instanceof kind);
  if (!expected && !("ready" in document.body.dataset)) page.summary.textContent = "";
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

function milliseconds(value) {
  if (value < 0.1) return "under 0.1 ms"; // clocks of browsers are that coarse
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}

function row(kind, ...cells) {
  return element("tr", ...cells.map((cell) => element(kind, cell)));
}

/** A new element with text or other elements inside. */
function element(kind, ...inside) {
  const made = document.createElement(kind);
  made.append(...inside);
  return made;
}
