"""What a job tells on its way, also written to the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic, time
from typing import Any

from tenfold.options import Noted, Progress
from tenfold.runs.directory import RunDirectory

__all__ = ["noted", "recorded"]

_SECONDS = 1.0  # between two lines about one phase


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


def noted(run: RunDirectory) -> Noted:
    """An event in `run` for each row of the history; of the steps of a phase one a second."""
    last_phase, last_time = "", 0.0

    def note(row: Mapping[str, Any]) -> None:
        nonlocal last_phase, last_time
        if "loss" in row:
            if row["phase"] == last_phase and monotonic() - last_time < _SECONDS:
                return
            last_phase, last_time = row["phase"], monotonic()
        run.append_event({"time": round(time(), 3), **row})

    return note
