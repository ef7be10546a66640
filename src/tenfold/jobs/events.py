"""What a job tells on its way, also written to the run directory."""

from __future__ import annotations

from time import monotonic, time

from tenfold.options import Progress
from tenfold.runs.directory import RunDirectory

__all__ = ["recorded", "silent"]

_SECONDS = 1.0  # between two lines about one phase


def silent(phase: str, done: int, total: int) -> None:
    """Progress that no one looks at."""


def recorded(progress: Progress, run: RunDirectory) -> Progress:
    """`progress`, and an event in `run` when a phase begins, once a second meanwhile, and when it ends."""
    last_phase, last_time = "", 0.0

    def tell(phase: str, done: int, total: int) -> None:
        nonlocal last_phase, last_time
        progress(phase, done, total)
        if phase != last_phase or done >= total or monotonic() - last_time >= _SECONDS:
            run.append_event({"time": round(time(), 3), "phase": phase, "done": done, "total": total})
            last_phase, last_time = phase, monotonic()

    return tell
