"""What the history of learning-compression says, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tenfold.compression.fit import Fitted
from tenfold.schemes.registry import get_scheme
from tenfold.search.tried import Tried
from tenfold.train.loop import Rollback, Row, Step

__all__ = ["named", "told", "tried"]


def named(fitted: Fitted | None) -> dict[str, int]:
    """The parts of a rank by name; none of a layer that is kept."""
    if fitted is None:
        return {}
    return dict(zip(get_scheme(fitted.choice.scheme).rank_names, fitted.choice.rank, strict=True))


def tried(trial: Tried) -> dict[str, Any]:
    """One plan that was tried, for the history."""
    return {"origin": trial.origin, "loss": trial.loss, "accuracy": trial.accuracy, "costs": trial.costs}


def told(number: int, before: int, row: Row) -> Iterator[dict[str, Any]]:
    """A row of the history for what an L step says; steps are counted over all of them."""
    if isinstance(row, Step):
        yield {
            "phase": "l step",
            "number": number,
            "step": before + row.step,
            "loss": row.loss,
            "penalty": row.penalty,
            "rate": row.rate,
        }
    elif isinstance(row, Rollback):
        yield {
            "phase": "l step rollback",
            "number": number,
            "step": before + row.step,
            "rate": row.rate,
            "cause": row.cause,
        }
