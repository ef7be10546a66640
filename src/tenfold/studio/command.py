"""From a job to the command line that carries it out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from tenfold.config import CompressSettings, LearnSettings, read_toml
from tenfold.studio.errors import JobError
from tenfold.studio.jobs import MAKERS, USERS, Job
from tenfold.studio.process import option_arguments, program

__all__ = ["arguments_of", "free_beside", "is_free", "run_of", "settings_text"]


def arguments_of(job: Job) -> tuple[list[str], Path]:
    """What starts a job, or goes on with it, and its run directory.

    That is another one where a process was killed before it had written its settings: nothing is removed.

    Args:
        job: whose job file is there.

    Raises:
        JobError: the run directory was free when the job was queued, and is not any more.
    """
    run = job.run_directory
    if job.command in USERS:
        return [*program(), job.command, *option_arguments(read_toml(job.file))], run
    if not is_free(run):
        if job.started is None:
            raise JobError(
                f"{run} holds something by now that is not of this job; move it away, and start it again"
            )
        if (run / "job.toml").is_file():
            return [*program(), "resume", "--", str(run)], run
        run = free_beside(run)
    if job.command == "demo":
        return [*program(), job.command, *option_arguments(read_toml(job.file)), f"--out={run}"], run
    return [*program(), job.command, f"--job={job.file}", f"--out={run}"], run


def is_free(run: Path) -> bool:
    """Whether a run can be made there."""
    return not run.exists() or (run.is_dir() and not any(run.iterdir()))


def free_beside(run: Path) -> Path:
    """The first of RUN, RUN-2, ... where nothing is."""
    found, number = run, 1
    while found.exists():
        number += 1
        found = run.with_name(f"{run.name}-{number}")
    return found


def run_of(command: str, values: Mapping[str, Any], given: Path | None) -> Path | None:
    """The run directory of a new job, absolute; None for one that has to be found."""
    if command not in (*MAKERS, *USERS):
        raise JobError(f"there is no job {command!r}; known are {', '.join((*MAKERS, *USERS))}")
    path = values.get("run") if command in USERS else given
    if command in USERS and not path:
        raise JobError(f"{command} needs a run; choose one")
    if path is None:
        return None
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise JobError(f"the name {str(path)!r} cannot be written as text; choose another folder") from None
    return Path(os.path.realpath(path))


def settings_text(command: str, values: Mapping[str, Any]) -> str:
    """The text of a job file, once all in it is checked.

    Raises:
        TenfoldError: a setting is unknown, missing or out of its range.
    """
    values = {name: value for name, value in values.items() if value is not None}
    if command == "learn":
        return LearnSettings.make(values).to_toml()
    if command == "search":
        return CompressSettings.make({"selector": "bayes", "until": "plan", **values}).to_toml()
    if command == "compress":
        return CompressSettings.make(values).to_toml()
    texts = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    return tomli_w.dumps(texts)
