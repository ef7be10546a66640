"""The next plan to try: candidates bred from the best ones and from the allocation, judged by the process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.core.plan import Plan
from tenfold.search.acquisition import front_of, log_expected_gain, log_expected_improvement
from tenfold.search.base import Sketch, Space
from tenfold.search.gp import GaussianProcess, fit_process

__all__ = ["Observed", "fitted", "propose"]

Array = NDArray[np.float64]

_START = 4  # values that a process needs before it is asked
_ROUNDS = 4
_POOL = 256  # candidates a round
_PARENTS = 10
_ELITE = 16  # candidates of a round that are bred from in the next one
_DECODED = 24  # candidates that are looked at exactly
_WANDERINGS = 10  # mutations of mutations that are looked at where nothing new is left
_LEAST_LOSS = 1e-9  # a network that is right and sure of it everywhere
_MARGIN = (
    0.1  # how far beyond the worst the reference of the front lies, of the way from the best to the worst
)


@dataclass(frozen=True)
class Observed:
    """A plan that was tried.

    Attributes:
        point: where it lies in the space, (dimensions,).
        plan: what was tried.
        loss: what came out, above 0.
    """

    point: Array
    plan: Plan
    loss: float


def propose(
    space: Space,
    observed: Sequence[Observed],
    *,
    rng: np.random.Generator,
    pending: Sequence[Plan] = (),
    taken: Collection[Plan] = (),
    front: str | None = None,
) -> Array:
    """The point to try next.

    Args:
        space: what is searched.
        observed: what is known.
        rng: decides everything that is random.
        pending: plans that are being tried elsewhere; taken to come out as predicted.
        taken: plans that must not come again, as long as others are found.
        front: None to lower the loss, or the cost that the loss is weighed against.

    Returns:
        A point (dimensions,) whose plan meets every limit.
    """
    if len(observed) < _START:
        return _untaken(space, _first(space, len(observed) + len(pending), rng), taken, rng)
    judge = _Judge(space, observed, pending, front)
    parents = np.stack([observed[place].point for place in judge.best(_PARENTS)])
    pool = np.empty((0, parents.shape[1]))
    worth = np.empty(0)
    for _ in range(_ROUNDS):
        bred = _breed(space, np.concatenate([parents, pool[:_ELITE]]), rng)
        pool = np.concatenate([pool[:_POOL], bred])
        worth = np.concatenate([worth[:_POOL], judge.worth(space.sketch(bred))])
        order = np.argsort(-worth, kind="stable")
        pool, worth = pool[order], worth[order]
    return _untaken(space, pool, taken, rng)


def fitted(space: Space, observed: Sequence[Observed]) -> tuple[GaussianProcess, Sketch]:
    """The process of the logarithm of the loss, and the plans it was fitted to."""
    known = space.sketch_plans([o.plan for o in observed])
    logs = np.log(np.maximum([o.loss for o in observed], _LEAST_LOSS))
    return fit_process(known.features, known.trend, logs), known


class _Judge:
    """What candidates are worth, given what is known."""

    def __init__(
        self, space: Space, observed: Sequence[Observed], pending: Sequence[Plan], front: str | None
    ) -> None:
        """Fit the process; take pending plans for tried, with the values it predicts for them."""
        process, known = fitted(space, observed)
        if pending:
            other = space.sketch_plans(list(pending))
            means, _ = process.predict(other.features, other.trend)
            process = process.given(other.features, other.trend, means)
            known = Sketch(*(np.concatenate(pair) for pair in zip(_parts(known), _parts(other), strict=True)))
        self._process = process
        self._costs = None if front is None else list(space.limits).index(front)
        # The values without their noise: a lucky one is not the one to beat.
        self._means, _ = process.predict(known.features, known.trend)
        self._known = known
        self._count = len(observed)

    def worth(self, sketch: Sketch) -> Array:
        """Logarithm of the expected improvement, or of the expected gain of the front, (m,)."""
        mean, spread = self._process.predict(sketch.features, sketch.trend)
        if self._costs is None:
            return log_expected_improvement(mean, spread, self._means.min())
        points = self._points(self._known, self._means)
        low, high = points.min(0), points.max(0)
        reference = tuple((high + _MARGIN * np.maximum(high - low, 1e-3)).tolist())
        return log_expected_gain(mean, spread, self._points(sketch, mean)[:, 1], points, reference)

    def best(self, count: int) -> NDArray[np.int64]:
        """Numbers of the observed plans to breed from: the front, or those of least loss."""
        means = self._means[: self._count]
        order = np.argsort(means, kind="stable")
        if self._costs is None:
            return order[:count]
        front = front_of(self._points(self._known, self._means)[: self._count])
        return np.unique(np.concatenate([front, order[:2]]))

    def _points(self, sketch: Sketch, means: Array) -> Array:
        """Logarithms of loss and cost, (m, 2)."""
        return np.column_stack([means, np.log(np.maximum(sketch.costs[:, self._costs], 1.0))])


def _parts(sketch: Sketch) -> tuple[Array, Array, Array]:
    """The arrays of a sketch."""
    return sketch.features, sketch.trend, sketch.costs


def _first(space: Space, number: int, rng: np.random.Generator) -> Array:
    """Before anything is known: the plain allocation, then variations of it."""
    points = space.sample(_DECODED, rng)
    return points if number == 0 else points[1:]


def _breed(space: Space, parents: Array, rng: np.random.Generator) -> Array:
    """Mutations and crossings of `parents`, and allocations under other corrections and budgets."""
    quarter = _POOL // 4
    one, other = (parents[rng.integers(len(parents), size=quarter)] for _ in range(2))
    crossed = np.where(rng.random(one.shape) < 0.5, one, other)
    mutated = space.vary(parents[rng.integers(len(parents), size=2 * quarter)], rng)
    return np.concatenate([space.mend(np.concatenate([mutated, crossed]), rng), space.sample(quarter, rng)])


def _untaken(space: Space, points: Array, taken: Collection[Plan], rng: np.random.Generator) -> Array:
    """The first point whose plan is new; of a space that is searched through, the first one."""
    candidates = np.concatenate([points[:_DECODED], space.sample(_DECODED, rng)])
    for _ in range(_WANDERINGS):
        for point in candidates:
            if space.decode(point) not in taken:
                return np.asarray(point)
        candidates = space.vary(candidates, rng)
    return np.asarray(points[0])
