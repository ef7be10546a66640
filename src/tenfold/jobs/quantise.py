"""The network of a run in 8 bits, beside what it was: bytes, accuracy, milliseconds."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.config import TrainingSettings, job_settings, read_toml
from tenfold.core.atomic import write_text
from tenfold.data.dataset import Dataset, Splits, calibration_and_held_out
from tenfold.deploy.onnx import compact, export_onnx
from tenfold.deploy.quantise import Goal, Quantised, layers_of, quantise_gated
from tenfold.deploy.runtime import session
from tenfold.deploy.verify import latency_ms, runner, size_bytes
from tenfold.jobs.network import images_of
from tenfold.jobs.shipped import shipped
from tenfold.options import Progress, silent
from tenfold.runs.directory import RunDirectory

__all__ = ["FileMeasures", "QuantisedRun", "quantise_run"]

_CALIBRATION = 256
_HELD_OUT = 2000
_BATCH = 100


@dataclass(frozen=True)
class FileMeasures:
    """One ONNX file.

    Attributes:
        size_bytes: of the file.
        latency_ms: median of one image, one thread, all files in turns.
        accuracy: percent of the whole test set.
        held_out: percent of training images that were held out; None where it was not asked.
    """

    size_bytes: int
    latency_ms: float
    accuracy: float
    held_out: float | None = None


@dataclass(frozen=True)
class QuantisedRun:
    """What `tenfold export --int8` made.

    Attributes:
        path: of the file in 8 bits.
        goal: what 8 bits were for.
        files: "original" (where it can be built again), "compressed" and "int8".
        stored: layers whose weights are stored in 8 bits but which are computed in float32, and why.
        kept: layers that stay in float32 altogether, and why.
        layers: number of layers that could be quantised.
    """

    path: Path
    goal: Goal
    files: dict[str, FileMeasures]
    stored: dict[str, str]
    kept: dict[str, str]
    layers: int


def quantise_run(run: Path, out: Path | None = None, progress: Progress = silent) -> QuantisedRun:
    """Quantise the compressed network of a run, and write int8.json beside it.

    8 bits are for bytes if the budget of the run is on bytes or parameters and not on latency; else for time.

    Args:
        run: directory of a finished run; its images must be where they were.
        out: file to write; None makes model.int8.onnx in the run directory.
        progress: told what is going on.

    Raises:
        RunError: the run is incomplete.
        DataError: its images cannot be read.
        ExportError: the network cannot be exported or quantised.
    """
    directory, found = RunDirectory.open(run), shipped(run)
    settings = job_settings(read_toml(directory.job))
    progress("load", 0, 1)
    data = images_of(settings)
    progress("load", 1, 1)
    goal = _goal(settings)
    images, held_out = _calibration(data, settings.seed)
    path = out or directory.int8_onnx
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        compressed = export_onnx(found.model, Path(folder) / "compressed.onnx", found.shape)
        progress("quantise", 0, 2)
        made = quantise_gated(compressed, path, images, _judge(held_out, data), goal=goal)
        compact(path)
        progress("quantise", 1, 2)
        files = {"compressed": compressed, "int8": path}
        if found.original is not None:
            original = export_onnx(found.original, Path(folder) / "original.onnx", found.shape)
            files = {"original": original, **files}
        measured = _measured(files, found.shape, data, made)
        count = len(layers_of(compressed))
    progress("quantise", 2, 2)
    quantised = QuantisedRun(path, goal, measured, made.stored, made.kept, count)
    content = {**asdict(quantised), "path": path.name}
    write_text(directory.int8_report, json.dumps(content, indent=1) + "\n")
    return quantised


def _goal(settings: TrainingSettings) -> Goal:
    """What 8 bits are for, by what the run was to save."""
    asked = set(settings.budget)
    return "bytes" if asked & {"size_bytes", "params"} and "latency_ms" not in asked else "latency"


def _calibration(data: Splits, seed: int) -> tuple[NDArray[np.float32], Dataset]:
    """Images that ranges are measured on, and others that choices are judged by."""
    images, held_out = calibration_and_held_out(
        data.train, calibration=_CALIBRATION, held_out=min(_HELD_OUT, len(data.train) // 5), seed=seed
    )
    return data.preprocessing.apply(images).numpy(), held_out


def _judge(images: Dataset, data: Splits) -> Callable[[Path], float]:
    """Percent of images that a file classifies correctly."""

    def judge(path: Path) -> float:
        runtime, right = session(path, threads=1), 0
        for start in range(0, len(images), _BATCH):
            batch = data.preprocessing.apply(images.images[start : start + _BATCH]).numpy()
            answer = runner(runtime, batch)()[0].argmax(1)
            right += int((answer == images.labels[start : start + _BATCH].numpy()).sum())
        return 100 * right / max(len(images), 1)

    return judge


def _measured(
    files: dict[str, Path], shape: tuple[int, int, int], data: Splits, made: Quantised
) -> dict[str, FileMeasures]:
    """All files, timed in turns and tested on the whole test set."""
    times = latency_ms(list(files.values()), shape)
    test = _judge(data.test, data)
    held_out = {"compressed": made.before, "int8": made.after}
    return {
        name: FileMeasures(size_bytes(path), time.median_ms, test(path), held_out.get(name))
        for (name, path), time in zip(files.items(), times, strict=True)
    }
