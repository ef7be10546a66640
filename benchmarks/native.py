"""The native package beside ONNX Runtime and beside another generator of C: milliseconds, bytes, coverage.

    python benchmarks/native.py run RUN... [--only vgg]
    python benchmarks/native.py table

Each network is taken as ONNX: the given run directories, networks of the zoo with random weights, and
VGG-16 as block-term chains. One image, one thread. In 30 rounds the library of the package, ONNX Runtime
and the code of emx-onnx-cgen, compiled with the same settings, take turns; times are those of the
processor, ratios are medians over the rounds, so that other work on the machine weighs on all alike. The
last needs emx-onnx-cgen.
Results are kept in results/native.json; what is there is not run again.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import runs
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.runtime import session
from tenfold.packaging.contents import Contents
from tenfold.packaging.native import write_sources
from tenfold.packaging.native_compile import PLATFORMS, Compiler
from tenfold.runs.directory import RunDirectory
from tenfold.zoo.build import build

ROUNDS, RUNS = 30, 20
ZOO = {"resnet20": (3, 32, 32), "vgg16-bn": (3, 32, 32), "small": (1, 8, 8)}
CALLED = """
#include "model.h"
static char workspace[MODEL_WORKSPACE_BYTES] __attribute__((aligned(64)));
void called(const float *image, float *answer) { model_run(image, answer, workspace); }
"""
SETTINGS = ("-O3", "-mcpu=x86_64_v3", "-ffp-contract=fast", "-fno-math-errno", "-fno-sanitize=all", "-w")


def main() -> None:
    parser = runs.parser(__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="run directories")
    arguments = parser.parse_args()
    if arguments.action == "table":
        print(table(runs.load("native")))
        return
    for name, make in networks(arguments.runs).items():
        if arguments.only in name and name not in runs.load("native"):
            print(name, flush=True)
            print(runs.store("native", name, measured(make())), flush=True)


def networks(directories: list[Path]) -> dict[str, Callable[[], bytes]]:
    """ONNX files by name."""
    return {
        **{f"run {path.name}": RunDirectory(path).onnx.read_bytes for path in directories},
        **{
            name: (lambda n=name, s=shape: exported(build(n, classes=10, channels=s[0]), s))
            for name, shape in ZOO.items()
        },
        "vgg16-bn as chains": lambda: exported(chains(network("vgg16-bn", (3, 32, 32))), (3, 32, 32)),
    }


def network(name: str, shape: tuple[int, int, int]) -> nn.Module:
    """One of the zoo's, always with the same weights."""
    torch.manual_seed(0)
    return build(name, classes=10, channels=shape[0])


def exported(model: nn.Module, shape: tuple[int, int, int]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return export_onnx(model.eval(), Path(folder) / "model.onnx", shape).read_bytes()


def chains(model: nn.Module) -> nn.Module:
    """Every convolution but the first as a block-term chain with blocks of 4 channels and random weights."""
    convolutions = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    for name in convolutions[1:]:
        conv = model.get_submodule(name)
        rank = max(8, round(conv.out_channels * 0.9) // 4 * 4)
        stages = (
            nn.Conv2d(conv.in_channels, rank, 1, bias=False),
            nn.Conv2d(rank, rank, 3, padding=1, groups=rank // 4, bias=False),
            nn.Conv2d(rank, conv.out_channels, 1),
        )
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, nn.Sequential(*stages))
    return model


def measured(model: bytes) -> dict[str, float]:
    """Milliseconds and bytes of one network."""
    opened = session(model, threads=1)
    given = opened.get_inputs()[0]
    shape = given.shape[1:]
    image = np.random.default_rng(0).standard_normal([1, *shape]).astype(np.float32)
    expected = opened.run(None, {given.name: image})[0]
    with tempfile.TemporaryDirectory() as name:
        program, ours = packed(model, image, expected, Path(name))
        calls = {
            "tenfold": ours,
            "onnxruntime": lambda: opened.run(None, {given.name: image}),
            "emx": emx(model, image, expected, Path(name)),
        }
        times = np.array([[milliseconds(call) for call in calls.values()] for _ in range(ROUNDS)])
        found = {"program_bytes": program.stat().st_size, "onnx_bytes": len(model)}
    ratios = times / times[:, 1:2]
    for column, name in enumerate(calls):
        found[f"{name}_ms"] = float(np.median(times[:, column]))
        found[f"{name}_ratio"] = float(np.median(ratios[:, column]))
    return found


def milliseconds(call: Callable[[], object]) -> float:
    """The median of some calls: time of the processor, which the other work on it does not count into."""
    call()
    found = []
    for _ in range(RUNS):
        start = time.thread_time()
        call()
        found.append(1000 * (time.thread_time() - start))
    return float(np.median(found))


def packed(
    model: bytes, image: np.ndarray, expected: np.ndarray, folder: Path
) -> tuple[Path, Callable[[], object]]:
    """The program for this machine, and a call of the network in its library."""
    none = {"params": 0, "macs": 0, "size_bytes": None, "accuracy": None, "latency_ms": None}
    reading = {"resize": "bilinear", "proportions": "stretched", "orientation": "stored", "frame": "first"}
    channels = image.shape[1]
    card = {
        "format": 1, "name": "network", "version": "1", "network": "network", "images": "noise",
        "classes": [str(n) for n in range(expected.shape[1])], "input": list(image.shape[1:]),
        "mean": [0.5] * channels, "std": [0.5] * channels, "before": none, "after": none, "reading": reading,
    }  # fmt: skip
    write_sources(Contents(model, card), folder)
    program, library = Compiler(folder).build(PLATFORMS[0])
    (folder / "called.c").write_text(CALLED)
    return program, shared(folder, "called", [str(library)], image, expected)


def shared(
    folder: Path, name: str, more: list[str], image: np.ndarray, expected: np.ndarray
) -> Callable[[], object]:
    """A call of the function `name` in NAME.c, once its answer is right."""
    compiler = [sys.executable, "-m", "ziglang", "cc", *SETTINGS, "-shared", "-fPIC"]
    subprocess.run([*compiler, f"{name}.c", *more, "-lm", "-o", f"{name}.so"], cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / f"{name}.so"))[name]
    answer = np.zeros_like(expected)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (image, answer)]
    function(*pointers)
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    return lambda: function(*pointers)


def emx(model: bytes, image: np.ndarray, expected: np.ndarray, folder: Path) -> Callable[[], object]:
    """A call of what emx-onnx-cgen makes."""
    (folder / "emx.onnx").write_bytes(model)
    options = ["--input-dim", "batch=1", "--large-weight-threshold", "0", "--large-temp-threshold", "0"]
    generator = Path(sys.executable).with_name("emx-onnx-cgen")
    command = [generator, "compile", *options, "--model-name", "emx", "emx.onnx", "emx.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return shared(folder, "emx", ["-ffast-math"], image, expected)  # else its sums are not vectorised


def table(results: dict) -> str:
    """All of them as Markdown."""
    lines = ["| network | program, bytes | ms | times ONNX Runtime | emx-onnx-cgen, times ONNX Runtime |"]
    lines.append("|---|---|---|---|---|")
    for name, row in results.items():
        lines.append(
            f"| {name} | {row['program_bytes']:,} | {row['tenfold_ms']:.3f} | {row['tenfold_ratio']:.2f} | "
            f"{row['emx_ratio']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
