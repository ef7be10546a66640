"""The compressed network of a run as an ONNX file, measured beside the original's."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tenfold.config import CompressSettings, read_toml
from tenfold.core.errors import RunError, TenfoldError
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.verify import Latency, latency_ms, parity, size_bytes
from tenfold.jobs.events import silent
from tenfold.jobs.network import network_of
from tenfold.options import Progress
from tenfold.runs.directory import RunDirectory
from tenfold.runs.saved import load

__all__ = ["Exported", "File", "export"]

_PARITY_IMAGES = 16
_Shape = tuple[int, int, int]


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
    metadata = _metadata(directory)
    shape = _shape(directory, metadata)
    original, reason = _original(directory, metadata)
    model = load(run, model=original if original is not None and not metadata["graph"] else None).float()
    if not metadata["graph"]:
        original, reason = _original(directory, metadata)  # the chains were put into the first one
    path = export_onnx(model, out or directory.onnx, shape)
    progress("export", 1, 3)
    images = torch.randn(_PARITY_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    difference = parity(model, path, images)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        files = [path]
        if original is not None:
            files.append(export_onnx(original.float(), Path(folder) / "original.onnx", shape))
        progress("export", 2, 3)
        measured = [File(size_bytes(f), t) for f, t in zip(files, latency_ms(files, shape), strict=True)]
    progress("export", 3, 3)
    return Exported(path, difference, measured[0], measured[1] if original is not None else None, reason)


def _metadata(directory: RunDirectory) -> dict[str, Any]:
    """What model.json says beside the network; "graph" says whether it rebuilds without its code."""
    try:
        content = json.loads(directory.model.read_text(encoding="utf-8"))
        return {**content["metadata"], "graph": content["graph"] is not None}
    except OSError as error:
        cause = error.strerror or str(error)
    except (ValueError, KeyError, TypeError) as error:
        cause = f"it is not what tenfold wrote ({error!r})"
    raise RunError(f"cannot read {directory.model}: {cause}; restore the file or run the job again")


def _shape(directory: RunDirectory, metadata: dict[str, Any]) -> _Shape:
    """Channels, height and width of an image."""
    match metadata.get("input"):
        case [int(channels), int(height), int(width)]:
            return channels, height, width
    raise RunError(f"{directory.model} does not say the size of an image: restore it or run the job again")


def _original(directory: RunDirectory, metadata: dict[str, Any]) -> tuple[nn.Module | None, str]:
    """The network of the run's job file, or the reason why there is none."""
    try:
        settings = CompressSettings.make(read_toml(directory.job))
        classes, channels = len(metadata["classes"]), int(metadata["input"][0])
        return network_of(settings, classes=classes, channels=channels), ""
    except TenfoldError as error:
        return None, str(error)
    except (KeyError, TypeError):
        return None, f"{directory.model} does not name the classes"
