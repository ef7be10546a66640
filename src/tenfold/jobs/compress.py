"""From settings to a run directory: the compress job."""

from __future__ import annotations

import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from tenfold.config import CompressSettings
from tenfold.core.errors import BudgetError
from tenfold.core.plan import Plan
from tenfold.core.report import Measures, Report
from tenfold.data.dataset import Splits
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.verify import latency_ms, parity, size_bytes
from tenfold.jobs.events import recorded, silent
from tenfold.jobs.network import (
    check_names,
    check_plan,
    counted_for,
    filled_in,
    images_of,
    network_of,
    options_of,
    with_kept_layers,
)
from tenfold.jobs.report import write_page
from tenfold.jobs.staged import free_run, staged
from tenfold.layers.census import Census, check_finite
from tenfold.options import Progress
from tenfold.pipeline import Compressed, compress
from tenfold.runs.atomic import write_text
from tenfold.runs.directory import RunDirectory
from tenfold.runs.saved import load, save_model

__all__ = ["compress_network", "run"]

_PARITY_IMAGES = 16
_EXPORTS = 3  # the original, the compressed network, the measurements


def run(settings: CompressSettings, progress: Progress = silent) -> RunDirectory:
    """Carry out a compress job.

    Everything that can be refused is refused before the work begins; the run directory appears
    when it is complete. After an error, or Ctrl-C, nothing is left.

    Args:
        settings: what to do.
        progress: told what is going on.

    Returns:
        The finished run: job.toml, plan.json, events.jsonl, model.safetensors, model.json, model.onnx,
        report.json, report.html.

    Raises:
        TenfoldError: one of its kinds, for whatever the user can put right.
    """
    check_names(settings)
    out = settings.out or free_run(settings.arch.replace(":", "-"))
    with staged(out) as part:
        tell = recorded(progress, part)
        tell("load", 0, 1)
        data = images_of(settings)
        model = network_of(settings, classes=len(data.train.classes), channels=data.train.images.shape[1])
        tell("load", 1, 1)
        compress_network(settings.with_values(out=out.absolute()), model, data, part, tell)
    return RunDirectory(out)


def compress_network(
    settings: CompressSettings, model: nn.Module, data: Splits, part: RunDirectory, tell: Progress
) -> Report:
    """Compress `model` as the settings say and write everything into the folder `part`."""
    settings = filled_in(settings, data)
    counted = _checked(model, data)
    plan = check_plan(settings.plan, counted) if settings.plan is not None else None
    begin = perf_counter()
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        tell("export", 0, _EXPORTS)
        original = export_onnx(_exportable(model), Path(folder) / "original.onnx", _shape(data))
        tell("export", 1, _EXPORTS)
        exported = perf_counter() - begin
        made = _compress(settings, model, data, counted, plan, tell)
        begin = perf_counter()
        report = _measured(settings, made, original, data, part, tell)
        seconds = {**report.seconds, "export": round(exported + perf_counter() - begin, 3)}
    report = replace(report, settings=settings.as_dict(), seconds=seconds)
    part.write_plan(made.plan)
    write_text(part.job, settings.to_toml())
    part.write_report(report)
    write_page(part, (settings.out or part.path).name)
    return report


def _checked(model: nn.Module, data: Splits) -> Census:
    """The network, counted, once it is known to be whole and to classify these images."""
    check_finite(model)
    return counted_for(model, data)


def _compress(
    settings: CompressSettings,
    model: nn.Module,
    data: Splits,
    counted: Census,
    plan: Plan | None,
    tell: Progress,
) -> Compressed:
    """The work itself."""
    try:
        return compress(
            model,
            data,
            budget=settings.asked_budget(),
            scheme=settings.scheme,
            plan=plan,
            options=options_of(settings),
            progress=tell,
        )
    except BudgetError as error:
        raise with_kept_layers(error, counted) from None


def _measured(
    settings: CompressSettings,
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
    before, after = (
        replace(measures, size_bytes=size_bytes(file), latency_ms=round(time.median_ms, 4))
        for measures, file, time in zip(_both(made.report), files, times, strict=True)
    )
    return replace(made.report, before=before, after=after)


def _both(report: Report) -> tuple[Measures, Measures]:
    """Before and after."""
    return report.before, report.after


def _metadata(settings: CompressSettings, data: Splits) -> dict[str, object]:
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
