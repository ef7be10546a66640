"""A network and what became of it, as two ONNX files that are timed in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.runtime import session
from tenfold.deploy.verify import latency_ms, size_bytes
from tenfold.jobs.shipped import shipped
from tenfold.layers.census import census

__all__ = ["export", "export_run", "time_run", "timed"]

_BEFORE, _AFTER = "before.onnx", "after.onnx"
_REPETITIONS = 100


def export(model: nn.Module, made: nn.Module, shape: Sequence[int], folder: Path) -> dict:
    """Both into `folder`: MACs and bytes of the second one."""
    folder.mkdir(parents=True, exist_ok=True)
    for network, name in ((model, _BEFORE), (made, _AFTER)):
        export_onnx(network.eval(), folder / name, tuple(shape))
    return {"macs": census(made, torch.zeros(1, *shape)).macs, "size_bytes": size_bytes(folder / _AFTER)}


def export_run(out: Path, folder: Path) -> dict:
    """The original and the compressed network of a run directory."""
    found = shipped(out)
    return export(found.original, found.model, found.shape, folder)


def timed(folder: Path) -> dict:
    """Times of one image on one thread of ONNX Runtime, in milliseconds.

    "latency" is the original's median by that of the other; "spread_ms" holds the first quartile, the median
    and the third quartile of each.
    """
    files = [folder / _BEFORE, folder / _AFTER]
    shape = session(files[0], threads=1).get_inputs()[0].shape[1:]
    before, after = latency_ms(files, tuple(shape), repetitions=_REPETITIONS)
    spread = {
        name: [found.quartiles[0], found.median_ms, found.quartiles[1]]
        for name, found in (("original", before), ("compressed", after))
    }
    return {"latency": before.median_ms / after.median_ms, "spread_ms": spread}


def time_run(out: Path) -> dict:
    """The same of a run directory."""
    with tempfile.TemporaryDirectory() as folder:
        export_run(out, Path(folder))
        return timed(Path(folder))
