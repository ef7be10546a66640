"""What became of a job whose process is over."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenfold.runs.directory import RunDirectory
from tenfold.studio.errors import JobError

__all__ = ["State", "Verdict", "judged", "not_started"]

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
"""A job is queued, then running, then one of the others: done; failed by an error of its own; cancelled by
a user; interrupted from outside, with the program or the computer. Any but done can be gone on with."""

_CTRL_C = (130, -2)
_WAY_ON = "; go on with: tenfold resume"  # for a terminal; a window has a button
_FULL_MIB = 1
_LONGEST = 2000  # signs of an error


@dataclass(frozen=True)
class Verdict:
    """How it ended.

    Attributes:
        state: "done", "failed", "cancelled" or "interrupted".
        error: what to show; empty where there is nothing to say.
    """

    state: State
    error: str = ""


def not_started(error: JobError | OSError) -> Verdict:
    """What is said of a job whose process could not be started."""
    if isinstance(error, JobError):
        return Verdict("failed", str(error))
    return Verdict("failed", f"cannot start: {error.strerror}: {error.filename}")


def judged(status: int | None, *, asked: bool, run: Path, log: str, since: float) -> Verdict:
    r"""How a job ended.

    Args:
        status: of its process, as `subprocess` has it; None where this is not known.
        asked: whether a user had asked to cancel it.
        run: its run directory.
        log: the end of what it printed.
        since: when the process was started, in seconds since 1970.

    Example:
        >>> judged(2, asked=False, run=Path("r"), log="--- start\nerror: no data; give some\n", since=0)
        Verdict(state='failed', error='no data; give some')
        >>> judged(-9, asked=True, run=Path("r"), log="", since=0).state
        'cancelled'
    """
    if status == 0 or (status is None and _finished(run, since)):
        return Verdict("done")
    if asked:
        return Verdict("cancelled")
    last = _last_line(log)
    if last.startswith("error: "):
        return Verdict("failed", _about(run, last.removeprefix("error: ").partition(_WAY_ON)[0]))
    if status is None or status in _CTRL_C:
        stopped = "this program or the computer was stopped" if status is None else "someone stopped it"
        return Verdict("interrupted", f"{stopped} while it ran; go on with it")
    return Verdict("failed", _killed(-status) if status < 0 else _broken(status, last, run))


def _broken(status: int, last: str, run: Path) -> str:
    """An end that was not meant."""
    said = f": {last}" if last else f" and said nothing; {_room(run)}"
    return f"the job broke off with status {status}{said}"[:_LONGEST] + "; its log has more"


def _last_line(log: str) -> str:
    """The last line of the latest process that holds words; frames around them are left out."""
    lines = [line.strip(" │") for line in log.splitlines() if any(sign.isalnum() for sign in line)]
    return "" if not lines or lines[-1].startswith("--- ") else lines[-1]


def _finished(run: Path, since: float) -> bool:
    """Whether a run has all that its end writes, newer than the start of the process."""
    directory = RunDirectory(run)
    for file in (directory.report, run / "report.html"):  # the page is the last of both kinds of run
        try:
            if file.stat().st_mtime >= since - 2:  # some disks keep even seconds only
                return not directory.checkpoint.exists()
        except OSError:
            continue
    return False


def _about(run: Path, error: str) -> str:
    """An error, with what is behind it where the folder is gone."""
    gone = not run.exists() and str(run) in error and "No such file" in error
    text = (
        f"the run folder {run} was removed or moved while the job ran; start it again ({error})"
        if gone
        else error
    )
    return text[:_LONGEST]


def _killed(number: int) -> str:
    """What a signal means."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return (
            "the job was killed (SIGKILL), as systems do when memory runs out; take a smaller batch or fewer "
            "workers, or close programs, and go on with it"
        )
    return f"the job was ended by {name}; go on with it, and look at its log if that happens again"


def _room(run: Path) -> str:
    """How full the disk is."""
    for folder in (run, *run.parents):
        if folder.is_dir():
            free = shutil.disk_usage(folder).free / 2**20
            full = "the disk is full: " if free < _FULL_MIB else ""
            return f"{full}{free:,.0f} MiB are free in {folder}"
    return f"there is no folder above {run}"
