"""Jobs as a window shows them, and their rows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tenfold.runs.directory import RunDirectory
from tenfold.studio.verdict import State

__all__ = ["MAKERS", "SELECT", "USERS", "Job", "job_of"]

MAKERS = ("compress", "learn", "search", "demo")
"""Commands that make a run directory, and can be gone on with."""

USERS = ("export", "bench", "pack")
"""Commands that use one; they are named by `run` among their settings."""

SELECT = "SELECT job.*, user.name AS owner_name FROM job JOIN user ON user.id = job.owner"


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        id: its number.
        owner: name of the user whose it is.
        command: as on the command line: "compress", ...
        settings: the text of its job file.
        file: that file, for `tenfold.config.read_toml`.
        run_directory: where its results are; the folder need not be there yet.
        state: see `State`.
        created: seconds since 1970; so are the next two.
        started: of its latest process, or None.
        ended: or None.
        cancelling: whether it has been asked to stop and has not stopped yet.
        error: why it failed or was interrupted; else empty.
    """

    id: int
    owner: str
    command: str
    settings: str
    file: Path
    run_directory: Path
    state: State
    created: float
    started: float | None
    ended: float | None
    cancelling: bool
    error: str

    @property
    def over(self) -> bool:
        """Whether it neither waits nor runs."""
        return self.state not in ("queued", "running")

    @property
    def has_work(self) -> bool:
        """Whether going on with it begins where it was, not at the start. Looks at the disk."""
        return self.command in MAKERS and RunDirectory(self.run_directory).resumable


def job_of(row: sqlite3.Row, folder: Path) -> Job:
    """A row of `SELECT`; `folder` holds a folder for each job."""
    return Job(
        id=row["id"],
        owner=row["owner_name"],
        command=row["command"],
        settings=row["settings"],
        file=folder / str(row["id"]) / "job.toml",
        run_directory=Path(row["run_directory"]),
        state=row["state"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        cancelling=row["state"] == "running" and row["cancel_asked"] is not None,
        error=row["error"],
    )
