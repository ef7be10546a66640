"""From a network that is made to the files that ship: what all jobs that make one have in common."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from tenfold.config import TrainingSettings
from tenfold.core.errors import BudgetError
from tenfold.core.report import Report
from tenfold.data.dataset import Splits
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.verify import latency_ms, parity, size_bytes
from tenfold.jobs.network import counted_for, images_of, network_of, with_kept_layers
from tenfold.jobs.report import write_page
from tenfold.layers.census import Census, check_finite
from tenfold.options import Progress
from tenfold.pipeline import Compressed
from tenfold.runs.directory import RunDirectory
from tenfold.runs.saved import load, save_model

__all__ = ["checked", "deliver", "explained", "finish", "loaded"]

_PARITY_IMAGES = 16
_EXPORTS = 3  # the original, the compressed network, the measurements


@contextmanager
def explained(counted: Census) -> Iterator[None]:
    """Name the kept layers that stand in a budget's way."""
    try:
        yield
    except BudgetError as error:
        raise with_kept_layers(error, counted) from None


def checked(settings: TrainingSettings, model: nn.Module, data: Splits) -> Census:
    """The network, counted, once it is known to be whole and to classify these images."""
    check_finite(model)
    return counted_for(model, data, settings.keep)


def loaded(settings: TrainingSettings) -> tuple[Splits, nn.Module]:
    """Images and network."""
    data = images_of(settings)
    return data, network_of(settings, classes=len(data.train.classes), channels=data.train.images.shape[1])


def deliver(
    settings: TrainingSettings,
    model: nn.Module,
    data: Splits,
    directory: RunDirectory,
    tell: Progress,
    make: Callable[[], Compressed],
) -> None:
    """Export `model`, make a smaller one of it, and write all that ships into the folder of a run."""
    begin = perf_counter()
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        tell("export", 0, _EXPORTS)
        original = export_onnx(_exportable(model), Path(folder) / "original.onnx", _shape(data))
        tell("export", 1, _EXPORTS)
        exported = perf_counter() - begin
        made = make()
        begin = perf_counter()
        report = _measured(settings, made, original, data, directory, tell)
        seconds = {**report.seconds, "export": round(exported + perf_counter() - begin, 3)}
    directory.write_plan(made.plan)
    directory.write_report(replace(report, settings=settings.as_dict(), seconds=seconds))
    finish(directory)


def finish(directory: RunDirectory) -> None:
    """The page, and nothing that only an unfinished run needs."""
    write_page(directory, directory.path.resolve().name)
    shutil.rmtree(directory.checkpoint, ignore_errors=True)


def _measured(
    settings: TrainingSettings,
    made: Compressed,
    original: Path,
    data: Splits,
    part: RunDirectory,
    tell: Progress,
) -> Report:
    """The report with what only the files that ship can tell; writes these."""
    tell("export", 1, _EXPORTS)
    save_model(made.model, part.path, metadata=_metadata(settings, data))
    export_onnx(_shipped(part, made.model), part.onnx, _shape(data))
    images = data.preprocessing.apply(data.test.images[:_PARITY_IMAGES])
    parity(_exportable(made.model), part.onnx, images)
    tell("export", 2, _EXPORTS)
    files = (original, part.onnx)
    times = latency_ms(files, _shape(data))
    tell("export", 3, _EXPORTS)
    report, found = made.report, zip(files, times, strict=True)
    (size, time), (new_size, new_time) = ((size_bytes(file), round(t.median_ms, 4)) for file, t in found)
    last = report.after_last
    return replace(
        report,
        before=replace(report.before, size_bytes=size, latency_ms=time),
        after=replace(report.after, size_bytes=new_size, latency_ms=new_time),
        after_last=last and replace(last, size_bytes=new_size, latency_ms=new_time),
    )


def _metadata(settings: TrainingSettings, data: Splits) -> dict[str, object]:
    """What whoever runs the network must know."""
    return {
        "arch": settings.arch,
        "classes": list(data.train.classes),
        "input": list(_shape(data)),
        "mean": list(data.preprocessing.mean),
        "std": list(data.preprocessing.std),
    }


def _shipped(part: RunDirectory, made: nn.Module) -> nn.Module:
    """The network as it was saved, so that what is exported and compared is what others will load."""
    content = json.loads(part.model.read_text(encoding="utf-8"))
    return _exportable(made if content["graph"] is None else load(part.path))


def _exportable(model: nn.Module) -> nn.Module:
    """The network itself, or a copy in float32, which is what ONNX Runtime runs."""
    if all(p.dtype == torch.float32 for p in model.parameters() if p.is_floating_point()):
        return model
    return copy.deepcopy(model).float()


def _shape(data: Splits) -> tuple[int, int, int]:
    """Channels, height and width of an image."""
    channels, height, width = data.test.images.shape[1:]
    return channels, height, width
