"""From settings to a run directory: the compress job."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from tenfold.config import CompressSettings, read_toml
from tenfold.core.atomic import write_text
from tenfold.core.errors import BudgetError, RunError
from tenfold.core.plan import Plan
from tenfold.core.report import Report
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
from tenfold.jobs.search_record import search_text
from tenfold.jobs.started import free_run, gone_on_with, started, threads
from tenfold.layers.census import Census, check_finite
from tenfold.options import Options, Progress
from tenfold.pipeline import Compressed, Searched, Session, compress, search_plan
from tenfold.runs.checkpoint import Checkpoint
from tenfold.runs.directory import RunDirectory
from tenfold.runs.saved import load, save_model
from tenfold.train.team import ALONE, Team, joined

__all__ = ["compress_network", "resume", "run"]

_PARITY_IMAGES = 16
_EXPORTS = 3  # the original, the compressed network, the measurements


def run(settings: CompressSettings, progress: Progress = silent) -> RunDirectory | None:
    """Carry out a compress job.

    Everything that can be refused is refused before the work begins. After an error or Ctrl-C the run
    directory stays if there is something to go on from, with `resume`; else nothing is left.

    Args:
        settings: what to do.
        progress: told what is going on.

    Returns:
        The finished run: job.toml, plan.json, events.jsonl, model.safetensors, model.json, model.onnx,
        report.json, report.html, after a search of ranks also search.json and study.db. None in all processes
        that `torchrun` started but the first.

    Raises:
        TenfoldError: one of its kinds, for whatever the user can put right.
    """
    check_names(settings)
    with joined() as team, threads(settings.threads):
        out = Path(team.told(str(settings.out or free_run(settings.arch.replace(":", "-")))))
        if team.rank:
            _help(settings, RunDirectory(out), team)
            return None
        with started(out) as directory:
            return _work(settings, directory, progress, team)


def resume(path: Path, progress: Progress = silent) -> RunDirectory | None:
    """Go on with a run that was stopped, at whatever moment; it ends with the bits it would have had.

    Args:
        path: its directory.
        progress: told what is going on.

    Returns:
        The finished run; None in all processes that `torchrun` started but the first.

    Raises:
        RunError: there is no such run, or it was stopped before its settings were written.
        TenfoldError: as `run`.
    """
    directory = RunDirectory.open(path)
    if not directory.job.is_file():
        raise RunError(
            f"cannot go on with {path}: it was stopped before it wrote {directory.job.name}; remove it and "
            "start the job again"
        )
    settings = CompressSettings.make({**read_toml(directory.job), "out": path.absolute()})
    with joined() as team, threads(settings.threads), gone_on_with(directory):
        if directory.report.is_file():
            _finish(directory)
            return directory if team.rank == 0 else None
        check_names(settings)
        if team.rank:
            _help(settings, directory, team)
            return None
        return _work(settings, directory, progress, team)


def _work(
    settings: CompressSettings, directory: RunDirectory, progress: Progress, team: Team
) -> RunDirectory:
    """What the first process does."""
    tell = recorded(progress, directory)
    tell("load", 0, 1)
    data, model = _loaded(settings)
    tell("load", 1, 1)
    compress_network(settings.with_values(out=directory.path.absolute()), model, data, directory, tell, team)
    return directory


def _help(settings: CompressSettings, directory: RunDirectory, team: Team) -> None:
    """What the other processes do: their share of the fine-tuning."""
    data, model = _loaded(settings)
    session = Session(checkpoint=Checkpoint(directory.checkpoint, writes=False), team=team)
    compress(model, data, options=options_of(filled_in(settings, data)), session=session)


def _loaded(settings: CompressSettings) -> tuple[Splits, nn.Module]:
    """Images and network."""
    data = images_of(settings)
    return data, network_of(settings, classes=len(data.train.classes), channels=data.train.images.shape[1])


def compress_network(
    settings: CompressSettings,
    model: nn.Module,
    data: Splits,
    directory: RunDirectory,
    tell: Progress,
    team: Team = ALONE,
) -> None:
    """Compress `model` as the settings say and write everything into the folder of a run."""
    settings = filled_in(settings, data)
    counted = _checked(model, data)
    plan = check_plan(settings.plan, counted) if settings.plan is not None else None
    write_text(directory.job, settings.to_toml())
    work = _Work(settings, model, data, directory, tell, team)
    if settings.until == "plan":
        directory.write_plan(work.planned(counted))
        _finish(directory)
        return
    begin = perf_counter()
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        tell("export", 0, _EXPORTS)
        original = export_onnx(_exportable(model), Path(folder) / "original.onnx", _shape(data))
        tell("export", 1, _EXPORTS)
        exported = perf_counter() - begin
        made = work.compressed(counted, plan)
        begin = perf_counter()
        report = _measured(settings, made, original, data, directory, tell)
        seconds = {**report.seconds, "export": round(exported + perf_counter() - begin, 3)}
    directory.write_plan(made.plan)
    directory.write_report(replace(report, settings=settings.as_dict(), seconds=seconds))
    _finish(directory)


def _finish(directory: RunDirectory) -> None:
    """The page, and nothing that only an unfinished run needs."""
    write_page(directory, directory.path.resolve().name)
    shutil.rmtree(directory.checkpoint, ignore_errors=True)


@dataclass(frozen=True)
class _Work:
    """A job on its network, its images and its folder."""

    settings: CompressSettings
    model: nn.Module
    data: Splits
    directory: RunDirectory
    tell: Progress
    team: Team

    def planned(self, counted: Census) -> Plan:
        """The ranks alone."""
        with _explained(counted):
            return search_plan(
                self.model,
                self.data,
                budget=self.settings.asked_budget(),
                scheme=self.settings.scheme,
                options=self._options(),
                session=self._session(),
            )

    def compressed(self, counted: Census, plan: Plan | None) -> Compressed:
        """Everything."""
        with _explained(counted):
            return compress(
                self.model,
                self.data,
                budget=self.settings.asked_budget(),
                scheme=self.settings.scheme,
                plan=plan,
                options=self._options(),
                session=self._session(),
            )

    def _session(self) -> Session:
        """What is told and kept."""
        return Session(self.tell, self._found, Checkpoint(self.directory.checkpoint), self.team)

    def _options(self) -> Options:
        """With the trials in the run directory, unless they are kept elsewhere."""
        options = options_of(self.settings)
        storage = options.searching.storage or self.directory.study
        return replace(options, searching=replace(options.searching, storage=storage))

    def _found(self, searched: Searched) -> None:
        """Show what a search has found so far."""
        write_text(self.directory.search, search_text(searched))


@contextmanager
def _explained(counted: Census) -> Iterator[None]:
    """Name the kept layers that stand in a budget's way."""
    try:
        yield
    except BudgetError as error:
        raise with_kept_layers(error, counted) from None


def _checked(model: nn.Module, data: Splits) -> Census:
    """The network, counted, once it is known to be whole and to classify these images."""
    check_finite(model)
    return counted_for(model, data)


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
    report, found = made.report, zip(files, times, strict=True)
    (size, time), (new_size, new_time) = ((size_bytes(file), round(t.median_ms, 4)) for file, t in found)
    last = report.after_last
    return replace(
        report,
        before=replace(report.before, size_bytes=size, latency_ms=time),
        after=replace(report.after, size_bytes=new_size, latency_ms=new_time),
        after_last=last and replace(last, size_bytes=new_size, latency_ms=new_time),
    )


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
