"""How a fit ended."""

from __future__ import annotations

from enum import Enum

__all__ = ["Outcome"]


class Outcome(Enum):
    """How an iterative or direct fit ended; the value is the sentence a report prints."""

    EXACT = "the kernel is reproduced to rounding"
    DIRECT = "solved in closed form"
    CONVERGED = "a sweep no longer lowers the error by more than the tolerance"
    SWEEPS_RAN_OUT = "the sweeps ran out first; a larger number would lower the error a little"
    DEGENERATE = (
        "components many times larger than the kernel cancel each other; raise the ridge or lower the rank"
    )
    KEPT_START = "no sweep was better than the start that was given"
