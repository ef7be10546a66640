"""What a compression needs to know of the process it runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tenfold.options import Noted, Progress, silent, unnoted
from tenfold.pipeline.searching import Searched
from tenfold.runs.checkpoint import Checkpoint
from tenfold.train.team import ALONE, Team

__all__ = ["Session"]


def _unread(searched: Searched) -> None:
    """Trials that no one looks at."""


@dataclass(frozen=True)
class Session:
    """How a compression runs, as distinct from what it does.

    Attributes:
        progress: told what is going on.
        found: given all that a search of ranks knows whenever a trial has ended.
        checkpoint: where finished phases, and the state of the present one, are kept. The same call with it
            goes on where another process was stopped, and ends with the same bits.
        team: processes that fine-tune together; all but the first find the rest in the checkpoint.
        noted: given the rows of the history.
    """

    progress: Progress = silent
    found: Callable[[Searched], None] = _unread
    checkpoint: Checkpoint = field(default_factory=lambda: Checkpoint(None))
    team: Team = ALONE
    noted: Noted = unnoted
