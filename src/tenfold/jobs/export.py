"""The compressed network of a run as an ONNX file, measured beside the original's; or in another form."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from tenfold.core.atomic import write_bytes
from tenfold.core.names import FileFormat
from tenfold.deploy.forms import EXTENSIONS, bytes_of, export_form, fresh_parity, make_folder
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.verify import Latency, latency_ms, size_bytes
from tenfold.jobs.shipped import shipped
from tenfold.options import Progress, silent
from tenfold.runs.directory import RunDirectory

__all__ = ["Exported", "ExportedForm", "File", "export", "export_as"]

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


@dataclass(frozen=True)
class ExportedForm:
    """What `export_as` made.

    Attributes:
        path: of the file, or of the folder that holds the two files.
        size_bytes: of them.
        difference: largest relative difference from torch, loaded in a fresh process.
    """

    path: Path
    size_bytes: int
    difference: float


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
    difference = fresh_parity(model, path, images, "onnx")
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


def export_as(run: Path, form: FileFormat, out: Path | None = None) -> ExportedForm:
    """Export the compressed network of a run in some form, and look at it from a fresh process.

    Args:
        run: directory of a finished run.
        form: see `tenfold.deploy.forms.export_form`.
        out: where to write; None takes model.FORM in the run directory, which holds safetensors already;
            these are copied to `out`.

    Raises:
        RunError: the run is incomplete, or the file cannot be written.
        ExportError, ParityError: see `tenfold.deploy.forms`.
    """
    directory, found = RunDirectory.open(run), shipped(run)
    if form == "safetensors":
        path = make_folder(found.model, out or directory.path)
        for file in (directory.weights, directory.model) if out else ():
            write_bytes(path / file.name, file.read_bytes())
    else:
        path = export_form(found.model, out or directory.path / f"model{EXTENSIONS[form]}", found.shape, form)
    images = torch.randn(_PARITY_IMAGES, *found.shape, generator=torch.Generator().manual_seed(0))
    difference = fresh_parity(found.model, path, images, form)
    return ExportedForm(path, bytes_of(path), difference)
