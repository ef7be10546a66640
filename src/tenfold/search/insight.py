"""What a search has learned, for its report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import PlanError, UnknownNameError
from tenfold.search.acquisition import front_of
from tenfold.search.base import Space
from tenfold.search.propose import Observed, fitted
from tenfold.search.tried import Tried, Verdict

__all__ = ["Slice", "front_trials", "importance", "posterior_slice"]

Array = NDArray[np.float64]

_LEAST = 4  # trials without which there is nothing to learn from


@dataclass(frozen=True)
class Slice:
    """The posterior over two dimensions, the others as they are in the best plan.

    Attributes:
        names: of the two dimensions.
        a: values of the first.
        b: values of the second.
        mean: of the logarithm of the loss, (len(a), len(b)).
        deviation: standard deviation of that, (len(a), len(b)).
    """

    names: tuple[str, str]
    a: Array
    b: Array
    mean: Array
    deviation: Array


def importance(space: Space, tried: Iterable[Tried]) -> dict[str, float]:
    """Share of each layer in what bends the loss, beside the predicted rise; the shares sum to 1.

    Args:
        space: what was searched.
        tried: trials, at least four of them complete.

    Raises:
        PlanError: too few are complete.
    """
    process, _ = fitted(space, _complete(space, tried))
    return dict(zip(space.layers, process.importance().tolist(), strict=True))


def posterior_slice(
    space: Space, tried: Iterable[Tried], one: str, other: str, *, resolution: int = 25
) -> Slice:
    """What the process believes of the loss around the best plan.

    Args:
        space: what was searched.
        tried: trials, at least four of them complete.
        one: name of a dimension.
        other: name of another one.
        resolution: values a dimension, at most; at least 2.

    Raises:
        PlanError: too few trials are complete.
        UnknownNameError: no such dimension.
    """
    observed = _complete(space, tried)
    process, _ = fitted(space, observed)
    names = [d.name for d in space.dimensions]
    places = []
    for name in (one, other):
        if name not in names:
            raise UnknownNameError("dimension", name, names)
        places.append(names.index(name))
    a, b = (_values(space, place, resolution) for place in places)
    points = np.repeat(min(observed, key=lambda o: o.loss).point[None], len(a) * len(b), axis=0)
    points[:, places[0]], points[:, places[1]] = np.repeat(a, len(b)), np.tile(b, len(a))
    sketch = space.sketch(points)
    mean, deviation = process.predict(sketch.features, sketch.trend)
    shape = (len(a), len(b))
    return Slice((one, other), a, b, mean.reshape(shape), deviation.reshape(shape))


def front_trials(tried: Iterable[Tried], cost: str) -> list[Tried]:
    """The complete trials that no other one equals or beats in loss and cost, by rising cost."""
    complete = [t for t in tried if t.verdict is Verdict.COMPLETE]
    points = np.array([[t.loss, t.costs[cost]] for t in complete], dtype=float).reshape(-1, 2)
    return [complete[place] for place in front_of(points)]


def _complete(space: Space, tried: Iterable[Tried]) -> list[Observed]:
    """What is known for certain."""
    found = [
        Observed(space.encode(t.plan), t.plan, t.loss)
        for t in tried
        if t.verdict is Verdict.COMPLETE and t.plan is not None and t.loss is not None
    ]
    if len(found) < _LEAST:
        raise PlanError(f"{len(found)} trials are complete: a posterior needs {_LEAST}; search on")
    return found


def _values(space: Space, place: int, resolution: int) -> Array:
    """Evenly spread values of a dimension."""
    dimension = space.dimensions[place]
    values = np.linspace(dimension.low, dimension.high, resolution)
    return np.unique(np.rint(values)) if dimension.integer else values
