"""From settings and random weights to a run directory: the learn job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tenfold.config import LearnSettings
from tenfold.core.atomic import write_text
from tenfold.jobs.delivery import checked, deliver, explained, loaded
from tenfold.jobs.events import noted, recorded
from tenfold.jobs.network import check_names, check_plan, filled_in, options_of
from tenfold.jobs.search_record import search_text
from tenfold.jobs.started import free_run, started, threads
from tenfold.options import Progress, silent, unnoted
from tenfold.pipeline import Compressed, Searched, Session, learn
from tenfold.runs.checkpoint import Checkpoint
from tenfold.runs.directory import RunDirectory
from tenfold.train.team import Team, joined

__all__ = ["carry_out", "run"]


def run(settings: LearnSettings, progress: Progress = silent) -> RunDirectory | None:
    """Carry out a learn job.

    Everything that can be refused is refused before the work begins. After an error or Ctrl-C the run
    directory stays if there is something to go on from, with `tenfold.jobs.compress.resume`.

    Args:
        settings: what to do.
        progress: told what is going on.

    Returns:
        The finished run, with the files of a compress job. None in all processes that `torchrun` started but
        the first.

    Raises:
        TenfoldError: one of its kinds, for whatever the user can put right.
    """
    check_names(settings)
    with joined() as team, threads(settings.threads):
        out = Path(team.told(str(settings.out or free_run(settings.arch.replace(":", "-")))))
        if team.rank:
            return carry_out(settings, RunDirectory(out), progress, team)
        with started(out) as directory:
            return carry_out(settings, directory, progress, team)


def carry_out(
    settings: LearnSettings, directory: RunDirectory, progress: Progress, team: Team
) -> RunDirectory | None:
    """Do the work in a folder that is there, from the beginning or from what is kept in it."""
    first = team.rank == 0
    tell = recorded(progress, directory) if first else silent
    tell("load", 0, 1)
    data, model = loaded(settings)
    tell("load", 1, 1)
    settings = filled_in(settings.with_values(out=directory.path.absolute()), data)
    counted = checked(settings, model, data)
    plan = check_plan(settings.plan, counted) if settings.plan is not None else None
    options = options_of(settings)
    options = replace(options, searching=replace(options.searching, storage=directory.study))
    session = _session(directory, tell, team)

    def made() -> Compressed:
        budget, scheme = settings.asked_budget(), settings.scheme
        with explained(counted):
            return learn(
                model, data, budget=budget, scheme=scheme, plan=plan, options=options, session=session
            )

    if not first:
        made()
        return None
    write_text(directory.job, settings.to_toml())
    deliver(settings, model, data, directory, tell, made)
    return directory


def _session(directory: RunDirectory, tell: Progress, team: Team) -> Session:
    """What is told and kept; the first process alone writes."""
    first = team.rank == 0

    def found(searched: Searched) -> None:
        write_text(directory.search, search_text(searched))

    checkpoint = Checkpoint(directory.checkpoint, writes=first)
    return Session(tell, found, checkpoint, team, noted(directory) if first else unnoted)
