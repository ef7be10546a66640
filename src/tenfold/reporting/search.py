"""search.json: what a search of ranks left behind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from tenfold.core.errors import RunError
from tenfold.plots.search import Slice, Solution, State, Trial

__all__ = ["Search", "read_search"]


@dataclass(frozen=True)
class Search:
    """A search of ranks.

    Attributes:
        space: "corrections", "trends" or "ranks".
        sampler: what proposed the trials.
        trials: by rising number.
        importance: dimension -> how much of the loss it explains, at least 0.
        front: the best trade-offs; may be empty.
        slice: the model over two dimensions; None where there is no model.
    """

    space: str
    sampler: str
    trials: tuple[Trial, ...] = ()
    importance: dict[str, float] = field(default_factory=dict)
    front: tuple[Solution, ...] = ()
    slice: Slice | None = None

    def ended(self, state: State) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self.trials)


def read_search(text: str) -> Search:
    """Read the text of search.json; what is not there is left out, for a search may still be running.

    Raises:
        RunError: it is not that.

    Example:
        >>> text = '{"space": "ranks", "sampler": "tpe", "trials": [{"number": 0, "state": "failed"}]}'
        >>> read_search(text).ended("failed")
        1
    """
    try:
        return _search(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"this is no search.json that tenfold wrote ({error!r}): search again") from error


def _search(content: Mapping[str, Any]) -> Search:
    """The whole file."""
    trials = [_trial(row) for row in content.get("trials") or ()]
    found = content.get("slice")
    return Search(
        space=str(content["space"]),
        sampler=str(content["sampler"]),
        trials=tuple(sorted(trials, key=lambda trial: trial.number)),
        importance={str(n): value for n, value in _numbers(content.get("importance")).items()},
        front=tuple(x for x in map(_solution, content.get("front") or ()) if x),
        slice=_slice(found) if found else None,
    )


def _trial(row: Mapping[str, Any]) -> Trial:
    """One trial."""
    if row["state"] not in get_args(State):
        raise ValueError(f"state {row['state']!r}")
    return Trial(int(row["number"]), row["state"], _solution(row), _number(row.get("best")))


def _solution(row: Mapping[str, Any]) -> Solution | None:
    """What was found, if its loss is a number."""
    loss = _number(row.get("loss"))
    if loss is None:
        return None
    return Solution(loss, _number(row.get("accuracy")), _numbers(row.get("costs")))


def _number(value: float | None) -> float | None:
    """A finite number, or None: no figure has room for another one."""
    return float(value) if value is not None and math.isfinite(value) else None


def _numbers(values: Mapping[str, float | None] | None) -> dict[str, float]:
    """Those that are finite."""
    found = {name: _number(value) for name, value in (values or {}).items()}
    return {name: value for name, value in found.items() if value is not None}


def _slice(content: Mapping[str, Any]) -> Slice:
    """The model over two dimensions, once its shapes are known to fit together."""
    first, second = map(str, content["names"])
    a, b = (tuple(map(float, content[key])) for key in ("a", "b"))
    mean, deviation = (tuple(tuple(map(float, row)) for row in content[key]) for key in ("mean", "deviation"))
    for values in (mean, deviation):
        if len(a) < 2 or len(b) < 2 or len(values) != len(a) or any(len(row) != len(b) for row in values):
            raise ValueError("slice: a row a value of a, a column a value of b, and two of each at least")
        if not all(math.isfinite(value) for row in values for value in row):
            raise ValueError("slice: not all values are numbers")
    return Slice((first, second), a, b, mean, deviation)
