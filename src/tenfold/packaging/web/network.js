// The network: its files, checked against their hashes, and its answers.

import { FILES } from "./files.js";
import * as ort from "./runtime.js";
import { softmax, toInput } from "./preprocess.js";

const ENOUGH_MS = 60; // clocks of browsers are coarse: a short run is repeated for that long
const MOST_RUNS = 20;

/** What is wrong with the files, in words for the page. */
export class PackageError extends Error {}

/** The model card. */
export async function readCard() {
  return JSON.parse(new TextDecoder().decode(await readChecked("card.json")));
}

/**
 * Load the network.
 * @returns {Promise<(picture: object) => Promise<object>>} as `classify`, of a picture alone
 */
export async function loadNetwork(card) {
  const [packed, model] = await Promise.all(["runtime.bin", "model.onnx"].map(readChecked));
  ort.env.wasm.wasmBinary = await unpacked(packed);
  ort.env.wasm.numThreads = 1; // more would need headers that a static server does not send
  ort.env.logLevel = "fatal";
  const session = await sessionOf(model);
  const [channels, height, width] = card.input;
  const run = async (input) => {
    const tensor = new ort.Tensor("float32", input, [1, channels, height, width]);
    const answers = await session.run({ [session.inputNames[0]]: tensor });
    return answers[session.outputNames[0]].data;
  };
  await run(new Float32Array(channels * height * width)); // the first run makes buffers and is slower
  return (picture) => classify(picture, card, run);
}

/**
 * @returns {Promise<{probabilities: number[], preparingMs: number, networkMs: number, runs: number}>} in the
 *   order of the classes; networkMs is the mean of so many runs
 */
async function classify(picture, card, run) {
  const start = performance.now();
  const input = toInput(picture, card);
  const prepared = performance.now();
  const logits = await run(input);
  let runs = 1;
  while (performance.now() - prepared < ENOUGH_MS && runs < MOST_RUNS) {
    await run(input);
    runs += 1;
  }
  const networkMs = (performance.now() - prepared) / runs;
  return { probabilities: softmax(logits), preparingMs: prepared - start, networkMs, runs };
}

async function sessionOf(model) {
  try {
    return await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new PackageError(
      `This browser cannot load the network (${firstLine(error)}). A browser of 2023 or later is needed.`,
    );
  }
}

/** The bytes of WebAssembly, which travel compressed. */
async function unpacked(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** The bytes of a file whose hash is right. */
async function readChecked(name) {
  const { integrity, bytes } = FILES[name];
  try {
    const response = await fetch(name, { integrity });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch {
    // the reason is found out below: the browser does not tell
  }
  const met = (await read(name)).byteLength;
  const what = met === bytes ? "other bytes than were packed" : `${met} bytes instead of ${bytes}`;
  throw new PackageError(
    `${name} is damaged: it has ${what}. Copy the whole folder to the server again, then reload.`,
  );
}

async function read(name) {
  const response = await fetch(name).catch((error) => ({ ok: false, statusText: firstLine(error) }));
  if (response.ok) return response.arrayBuffer();
  const cause = [response.status, response.statusText].filter(Boolean).join(" ");
  throw new PackageError(
    `${name} cannot be read from the server (${cause}). Check that the whole folder is there, then reload.`,
  );
}

function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}
