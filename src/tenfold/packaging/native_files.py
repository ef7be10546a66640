"""The C files that are made for one network; the others, beside these, are the same for all."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np

from tenfold.packaging.contents import Contents, card_text
from tenfold.packaging.native_fuse import fuse
from tenfold.packaging.native_read import read
from tenfold.packaging.native_source import source
from tenfold_runner.card import Card

__all__ = ["card_h", "fixed_files", "model_c", "model_h"]

_ROW = 96  # bytes of the weights a line

_HEADER = """\
/* {name} {version}: a network that classifies images. Made by tenfold; see docs/native-package.md there. */

#ifndef MODEL_H
#define MODEL_H

#define MODEL_CHANNELS {channels} /* 1: grey, 3: RGB */
#define MODEL_HEIGHT {height}
#define MODEL_WIDTH {width}
#define MODEL_CLASSES {classes}
#define MODEL_WORKSPACE_BYTES {workspace}

#ifdef __cplusplus
extern "C" {{
#endif

/* Names, UTF-8, and what (x / 255 - mean) / std takes. */
extern const char *const model_classes[MODEL_CLASSES];
extern const float model_mean[MODEL_CHANNELS], model_std[MODEL_CHANNELS];

/* One image. `image` holds MODEL_CHANNELS planes of MODEL_HEIGHT rows, `logits` MODEL_CLASSES numbers.
 * `workspace` holds MODEL_WORKSPACE_BYTES, is all zeros before its first use and then left alone between
 * calls. Threads may run at the same time, each with a workspace of its own. */
void model_run(const float *image, float *logits, void *workspace);

/* From 8-bit pixels of any size, 1 (grey) or 3 (RGB) bytes each, row by row, to `image`, as in the training.
 * Gives 0, or -1 where memory ends or the sizes make no sense. */
int model_prepare(const unsigned char *pixels, int width, int height, int channels, float *image);

/* The processors whose code runs here. */
const char *model_processor(void);

#ifdef __cplusplus
}}
#endif

#endif
"""

_BODY = """
#include "model.h"

#ifndef __BYTE_ORDER__
#error "a compiler like clang or GCC is needed"
#elif __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the weights are stored with the lowest byte first"
#endif

/* Other names where the network is compiled for several processors of one program. */
#ifndef MODEL_RUN
#define MODEL_RUN model_run
const char *model_processor(void) {{ return "one kind of processor"; }}
#endif

#ifdef MODEL_REST_ELSEWHERE
extern const union model_weights {{ char bytes[{bytes}]; float values[{floats}]; }} model_weights;
#else
const char *const model_classes[] = {{
{classes}
}};
const float model_mean[] = {{{mean}}}, model_std[] = {{{std}}};
const union model_weights {{ char bytes[{bytes}]; float values[{floats}]; }} model_weights
    __attribute__((aligned(64))) = {{
{weights}
}};
#endif

{functions}
void MODEL_RUN(const float *image, float *answer, void *workspace) {{
  float *const memory = workspace;
  const float *const weights = model_weights.values;
{calls}
}}
"""


def model_c(contents: Contents) -> tuple[str, int]:
    """The C source of the network and the bytes of memory that its activations take.

    Raises:
        ExportError: as `tenfold.packaging.native_read.read`.
    """
    made = source(fuse(read(contents.model)))
    weights = made.weights.astype("<f4").tobytes()
    card = contents.card
    loops = [_text(name) for name in ("kernels.h", "plain.h")]
    body = _BODY.format(
        bytes=len(weights),
        floats=len(weights) // 4,
        classes="\n".join(f"  {_quoted(name.encode())}," for name in card["classes"]),
        mean=_numbers(card["mean"]),
        std=_numbers(card["std"]),
        weights=_lines(weights),
        functions=made.functions,
        calls=made.calls,
    )
    return "\n".join([*loops, body]), made.memory * 4


def model_h(card: dict[str, Any], workspace: int) -> str:
    """The header for programs that hold the network."""
    channels, height, width = card["input"]
    return _HEADER.format(
        name=card["name"].replace("*/", "* /"),
        version=card["version"].replace("*/", "* /"),
        channels=channels,
        height=height,
        width=width,
        classes=len(card["classes"]),
        workspace=workspace,
    )


def card_h(card: Card) -> str:
    """What the program prints as its card, for people and as JSON."""
    texts = {"card_text": _for_people(card), "card_json": card_text(card.content)}
    return "".join(
        f"static const char {name}[] =\n{_lines(text.encode())};\n\n" for name, text in texts.items()
    )


def _for_people(card: Card) -> str:
    """The card in lines, with figures of both networks side by side."""
    channels, height, width = card.shape
    rows = [("", "original", "this program"), *card.lines]
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    lines = [
        f"{card.name} {card.version}: {card.network}, trained on {card.images}",
        f"{len(card.classes)} classes: {', '.join(card.classes)}",
        f"images of {height}x{width} (height x width), {'grey' if channels == 1 else 'RGB'}",
        *(f"{what:{first}}  {before:>{second}}  {after:>{third}}" for what, before, after in rows),
    ]
    return "".join(f"{line}\n" for line in lines)


def fixed_files() -> dict[str, str]:
    """The C files that are the same for all networks; name to text."""
    return {
        entry.name: entry.read_text("utf-8") for entry in (files("tenfold.packaging") / "native").iterdir()
    }


def _text(name: str) -> str:
    """One of the fixed files."""
    return (files("tenfold.packaging") / "native" / name).read_text("utf-8")


def _numbers(values: list[float]) -> str:
    """C literals of float32."""
    return ", ".join(f"{float(np.float32(value))!r}f" for value in values)


def _lines(data: bytes) -> str:
    """Bytes as a C string of many lines."""
    return "\n".join(
        f"  {_quoted(data[start : start + _ROW])}" for start in range(0, max(1, len(data)), _ROW)
    )


_ESCAPES = [f"\\{value:03o}" for value in range(256)]


def _quoted(data: bytes) -> str:
    """Bytes as a C string; each as three octal digits, so that no digit after it is taken for its own."""
    return f'"{"".join(_ESCAPES[value] for value in data)}"'
