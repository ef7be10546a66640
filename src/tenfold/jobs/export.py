"""The compressed network of a run as an ONNX file, measured beside the original's."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.verify import Latency, latency_ms, parity, size_bytes
from tenfold.jobs.events import silent
from tenfold.jobs.shipped import shipped
from tenfold.options import Progress
from tenfold.runs.directory import RunDirectory

__all__ = ["Exported", "File", "export"]

_PARITY_IMAGES = 16


@dataclass(frozen=True)
class File:
    """One ONNX file, measured.

    Attributes:
        size_bytes: of the file.
        latency: of one image, on one thread of ONNX Runtime.
    """

    size_bytes: int
    latency: Latency


@dataclass(frozen=True)
class Exported:
    """What `export` made.

    Attributes:
        path: of the ONNX file.
        difference: largest relative difference from torch, over batches of 1, 2 and 16.
        compressed: what was exported.
        original: the network it was made of; None where that could not be built again.
        reason: why not; empty otherwise.
    """

    path: Path
    difference: float
    compressed: File
    original: File | None
    reason: str


def export(run: Path, out: Path | None = None, progress: Progress = silent) -> Exported:
    """Export the compressed network of a run, with a dynamic batch.

    Args:
        run: directory of a finished run.
        out: where to write; None replaces the run's own model.onnx.
        progress: told what is going on.

    Raises:
        RunError: the run is incomplete, or the file cannot be written.
        ExportError, ParityError: see `tenfold.deploy`.
    """
    directory = RunDirectory.open(run)
    progress("export", 0, 3)
    found = shipped(run)
    model, shape, original = found.model, found.shape, found.original
    path = export_onnx(model, out or directory.onnx, shape)
    progress("export", 1, 3)
    images = torch.randn(_PARITY_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    difference = parity(model, path, images)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        files = [path]
        if original is not None:
            files.append(export_onnx(original, Path(folder) / "original.onnx", shape))
        progress("export", 2, 3)
        measured = [File(size_bytes(f), t) for f, t in zip(files, latency_ms(files, shape), strict=True)]
    progress("export", 3, 3)
    return Exported(
        path, difference, measured[0], measured[1] if original is not None else None, found.reason
    )
