"""The page of a web package in a browser: as a person uses it, and as a test asks it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from browser import Page

# What the page does with a file, reachable for a test: `pixels`, `tensor` and `answer` of a file in base64.
ASK = """(async () => {
  const { readPicture } = await import("./image.js");
  const { resize, toInput } = await import("./preprocess.js");
  const { loadNetwork, readCard } = await import("./network.js");
  const card = await readCard(), classify = await loadNetwork(card);
  const file = (text) => new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
  const text = (array) => {
    const bytes = new Uint8Array(array.buffer);
    let all = "";
    for (let i = 0; i < bytes.length; i += 8192) all += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(all);
  };
  window.pixels = async (data) => {
    const { width, height, data: bytes, approximate } = await readPicture(file(data));
    return { width, height, approximate, data: text(bytes) };
  };
  window.resized = async (data, height, width) =>
    text(resize(await readPicture(file(data)), 3, height, width).data);
  window.tensor = async (data) => text(toInput(await readPicture(file(data)), card));
  window.answer = async (data) => (await classify(await readPicture(file(data)))).probabilities;
})()"""


def ready(page: Page) -> None:
    """Wait until a picture can be chosen."""
    page.wait_for("'ready' in document.body.dataset")


def kept(page: Page) -> None:
    """Wait until the package is stored for use offline."""
    page.wait_for("'offline' in document.body.dataset")


def text(page: Page, name: str) -> str:
    """What an element shows; nothing if it is hidden."""
    element = f"document.getElementById('{name}')"
    return str(page.run(f"{element}.checkVisibility() ? {element}.innerText : ''"))


def choose(page: Page, file: Path) -> str:
    """Choose a file as a person does; the best answer, or what is wrong."""
    page.run("for (const id of ['answer', 'problem']) document.getElementById(id).hidden = true")
    page.choose(file)
    page.wait_for("['answer', 'problem'].some((id) => !document.getElementById(id).hidden)")
    return text(page, "best") or text(page, "problem")


def ask(page: Page, what: str, file: bytes, *more: int) -> Any:
    """What `ASK` says of a file."""
    arguments = ", ".join([f"'{base64.b64encode(file).decode()}'", *map(str, more)])
    return page.run(f"{what}({arguments})")


def array(answer: str, dtype: str) -> np.ndarray:
    """The numbers of an answer in base64."""
    return np.frombuffer(base64.b64decode(answer), dtype)
