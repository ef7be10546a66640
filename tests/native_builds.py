"""Networks compiled for this machine and called from Python."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.deploy.runtime import session
from tenfold.packaging.native_files import fixed_files
from tenfold.packaging.native_fuse import fuse
from tenfold.packaging.native_read import read
from tenfold.packaging.native_source import source

Tensor = NDArray[np.float32]

_ONE = """\
#include "kernels.h"
#include "plain.h"

static const float weights[] __attribute__((aligned(64))) = {{{weights}}};
static float memory[{memory}] __attribute__((aligned(64)));

{functions}

__attribute__((visibility("default"))) void {name}(const float *image, float *answer) {{
{calls}
}}
"""


def compiled(
    models: Mapping[str, bytes], folder: Path, *settings: str
) -> dict[str, Callable[[Tensor, Tensor], None]]:
    """A function (image, answer to fill) for each ONNX file."""
    for name, text in fixed_files().items():
        (folder / name).write_text(text)
    for number, data in enumerate(models.values()):
        made = source(fuse(read(data)))
        weights = ", ".join(f"{float(value)!r}f" for value in made.weights)
        text = _ONE.format(
            weights=weights,
            memory=made.memory,
            functions=made.functions,
            calls=made.calls,
            name=f"run_{number}",
        )
        (folder / f"run_{number}.c").write_text(text)
    sources = [f"run_{number}.c" for number in range(len(models))]
    zig(
        folder,
        "cc",
        "-O1",
        "-ffp-contract=fast",
        *settings,
        "-shared",
        "-fPIC",
        *sources,
        "-lm",
        "-o",
        "all.so",
    )
    library = ctypes.CDLL(str(folder / "all.so"))
    return {name: _callable(library[f"run_{number}"]) for number, name in enumerate(models)}


def zig(folder: Path, *arguments: str) -> None:
    """Run the compiler in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _callable(function: Callable[..., object]) -> Callable[[Tensor, Tensor], None]:
    """It takes arrays."""

    def call(image: Tensor, answer: Tensor) -> None:
        function(*(array.ctypes.data_as(ctypes.c_void_p) for array in (image, answer)))

    return call


def expected(model: bytes, image: Tensor) -> Tensor:
    """What ONNX Runtime answers for one image."""
    opened = session(model, threads=1)
    (answer,) = opened.run(None, {opened.get_inputs()[0].name: image[None]})
    return np.asarray(answer)[0]


def image_of(model: bytes, seed: int = 0) -> Tensor:
    """Numbers in the shape that a network takes."""
    shape = session(model, threads=1).get_inputs()[0].shape[1:]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
