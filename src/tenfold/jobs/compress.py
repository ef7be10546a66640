"""From settings to a run directory: the compress job."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from tenfold.config import CompressSettings, LearnSettings, job_settings, read_toml
from tenfold.core.atomic import remove_leftovers, write_text
from tenfold.core.errors import RunError
from tenfold.core.plan import Plan
from tenfold.data.dataset import Splits
from tenfold.jobs.delivery import checked, deliver, explained, finish, loaded
from tenfold.jobs.events import noted, recorded
from tenfold.jobs.learn import carry_out
from tenfold.jobs.network import check_names, check_plan, filled_in, options_of
from tenfold.jobs.search_record import search_text
from tenfold.jobs.started import alone_in, free_run, gone_on_with, started, threads
from tenfold.layers.census import Census
from tenfold.options import Options, Progress, silent
from tenfold.pipeline import Compressed, Searched, Session, compress, search_plan
from tenfold.runs.checkpoint import Checkpoint
from tenfold.runs.directory import RunDirectory
from tenfold.train.team import ALONE, Team, joined

__all__ = ["compress_network", "resume", "run"]


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
        RunError: there is no such run, it was stopped before its settings were written, or another process
            works in it.
        TenfoldError: as `run`.
    """
    directory = RunDirectory.open(path)
    if not directory.job.is_file():
        raise RunError(
            f"cannot go on with {path}: it was stopped before it wrote {directory.job.name}; remove it and "
            "start the job again"
        )
    settings = job_settings({**read_toml(directory.job), "out": path.absolute()})
    with (
        joined() as team,
        nullcontext() if team.rank else alone_in(directory),
        threads(settings.threads),
        gone_on_with(directory),
    ):
        if team.rank == 0:
            remove_leftovers(directory.path)
        if directory.report.is_file():
            finish(directory)
            return directory if team.rank == 0 else None
        check_names(settings)
        if isinstance(settings, LearnSettings):
            return carry_out(settings, directory, progress, team)
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
    data, model = loaded(settings)
    tell("load", 1, 1)
    compress_network(settings.with_values(out=directory.path.absolute()), model, data, directory, tell, team)
    return directory


def _help(settings: CompressSettings, directory: RunDirectory, team: Team) -> None:
    """What the other processes do: their share of the fine-tuning."""
    data, model = loaded(settings)
    session = Session(checkpoint=Checkpoint(directory.checkpoint, writes=False), team=team)
    compress(model, data, options=options_of(filled_in(settings, data)), session=session)


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
    counted = checked(settings, model, data)
    plan = check_plan(settings.plan, counted) if settings.plan is not None else None
    write_text(directory.job, settings.to_toml())
    work = _Work(settings, model, data, directory, tell, team)
    if settings.until == "plan":
        directory.write_plan(work.planned(counted))
        finish(directory)
        return
    deliver(settings, model, data, directory, tell, lambda: work.compressed(counted, plan))


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
        with explained(counted):
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
        with explained(counted):
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
        checkpoint = Checkpoint(self.directory.checkpoint)
        return Session(self.tell, self._found, checkpoint, self.team, noted(self.directory))

    def _options(self) -> Options:
        """With the trials in the run directory, unless they are kept elsewhere."""
        options = options_of(self.settings)
        storage = options.searching.storage or self.directory.study
        return replace(options, searching=replace(options.searching, storage=storage))

    def _found(self, searched: Searched) -> None:
        """Show what a search has found so far."""
        write_text(self.directory.search, search_text(searched))
