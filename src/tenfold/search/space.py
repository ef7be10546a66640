"""What is searched: the corrections that an allocation is given, their trends, or the ranks themselves.

All spaces know exactly what a plan ships and decode only to plans that meet every limit. A point is one
number a dimension; the Gaussian process never sees it, but the plan that it stands for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import BudgetError, UnknownNameError
from tenfold.core.plan import Plan
from tenfold.ranks.allocate import allocate
from tenfold.ranks.table import Table
from tenfold.search.base import Dimension, Sketch, Space, TabledSpace
from tenfold.search.grid import Indices

__all__ = ["Corrections", "Ranks", "Trends", "grouped", "make_space"]

Array = NDArray[np.float64]

_REACH = 2.0  # a correction is a factor between exp(-2) and exp(2)
_DIMENSIONS = 20
_NEW = 0.1  # share of a property's spread that earlier ones must leave unexplained, or it is no pattern
_BUDGET = "share of the budget"


class _Corrected(TabledSpace):
    """Logarithms of factors on the predicted rises of the layers: sums of a few patterns over all layers.

    A coordinate is the weight of its pattern, in [-2, 2]. With `front`, one more says how much of the way
    from the smallest plan to the limits is used, 1 being all of it.
    """

    def __init__(
        self, table: Table, limits: Mapping[str, float], fixed: Mapping[str, float], *, front: bool = False
    ) -> None:
        """Take what `allocate` takes, and whether smaller budgets are meant too."""
        self.front = front
        super().__init__(table, limits, fixed)
        patterns = self._made_patterns()
        self._names, self._patterns = tuple(patterns), np.array(list(patterns.values()))

    @abstractmethod
    def _made_patterns(self) -> dict[str, Array]:
        """What each coordinate does to the layers, (layers,), by its name."""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The corrections, then the budget."""
        found = tuple(Dimension(name, -_REACH, _REACH, integer=False) for name in self._names)
        return (*found, Dimension(_BUDGET, 0.0, 1.0, integer=False)) if self.front else found

    def decode(self, point: Array) -> Plan:
        """The allocation under the corrections of a point.

        Where several limits cannot be met together at the point's share of them, it is that at all of them.
        """
        point = np.asarray(point, dtype=float)
        factors = np.exp(self._corrections(point))
        scaled = {
            name: tuple(replace(c, rise=c.rise * float(factor)) for c in row)
            for factor, (name, row) in zip(factors, self.table.items(), strict=True)
        }
        try:
            return allocate(scaled, self._limits_at(point), self.fixed)
        except BudgetError:  # several limits, each of which can be met so low, but not all together
            return allocate(scaled, self.limits, self.fixed)

    def encode(self, plan: Plan) -> Array:
        """The corrections under which the plan's candidates are the ones a multiplier would pick.

        At the optimum of an allocation a unit more would take the same rise away in every layer. The
        corrections are the logarithms of what is missing to that, so far as the patterns can make it up with
        weights in [-2, 2].
        """
        if plan == self.plain:
            return np.array([0.0] * len(self._names) + [1.0] * self.front)
        worth = self.grid.worth_at(self.grid.nearest(plan))
        found = np.clip((np.mean(worth) - worth) @ np.linalg.pinv(self._patterns), -_REACH, _REACH)
        return np.append(found, self._share(plan)) if self.front else found

    def sketch(self, points: Array) -> Sketch:
        """Of the greedy allocations, which differ from `decode` by a step in a layer now and then."""
        share = points[:, -1] if self.front else np.ones(len(points))
        return self._sketch_indices(self.grid.allocate(self._corrections(points), self._room(share)))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Corrections of various spreads at any budget."""
        spread = rng.choice([0.2, 0.5, 1.0], size=(count, 1))
        points = spread * rng.standard_normal((count, len(self._names)))
        points[:1] = 0.0
        points = np.clip(points, -_REACH, _REACH)
        return np.column_stack([points, _shares(count, rng)]) if self.front else points

    def vary(self, points: Array, rng: np.random.Generator) -> Array:
        """Change a few corrections of each point, and the budget of some."""
        out = points.copy()
        count, size = len(points), len(self._names)
        chosen = rng.random((count, size)) < rng.choice([1.0, 2.0, 4.0], size=(count, 1)) / size
        chosen[np.arange(count), rng.integers(size, size=count)] = True
        step = rng.choice([0.1, 0.3, 0.8], size=(count, 1)) * rng.standard_normal((count, size))
        out[:, :size] = np.clip(out[:, :size] + chosen * step, -_REACH, _REACH)
        if self.front:
            moved = rng.random(count) < 0.5
            out[:, -1] = np.clip(out[:, -1] + moved * 0.1 * rng.standard_normal(count), 0.0, 1.0)
        return out

    def mend(self, points: Array, rng: np.random.Generator) -> Array:
        """Every point is feasible."""
        del rng
        return points

    def _corrections(self, points: Array) -> Array:
        """Of each layer, (..., layers)."""
        return np.asarray(points[..., : len(self._names)] @ self._patterns)

    def _limits_at(self, point: Array) -> dict[str, float]:
        """The limits at the budget of a point; those of the space itself at 1."""
        if not self.front or point[-1] >= 1:
            return dict(self.limits)
        room = self._room(point[-1:])[0] + self._rest
        smallest = self.grid.least + self._rest  # no limit below it, by rounding
        return dict(zip(self.limits, np.maximum(room, smallest).tolist(), strict=True))

    def _share(self, plan: Plan) -> float:
        """How much of the way to the limits a plan goes."""
        used = np.array([self.costs(plan)[name] for name in self.limits])
        least, most = self.grid.least + self._rest, self.grid.room + self._rest
        way = np.log(used / least) / np.maximum(np.log(most / least), 1e-12)
        return float(np.clip(way.max(), 0.0, 1.0))


class Corrections(_Corrected):
    """One correction a layer; deep networks have one for each group of neighbouring layers, at most twenty.

    Example:
        >>> from tenfold.core.plan import Choice
        >>> from tenfold.ranks.table import Candidate
        >>> row = (Candidate(None, 0.0, 10, 9, 40), Candidate(Choice("svd", (1,)), 1.0, 5, 4, 20))
        >>> space = Corrections({"a": row, "b": row}, {"params": 15.0}, {"params": 0.0})
        >>> list(space.decode(np.array([0.0, 0.5])).factorised)
        ['a']
    """

    kind = "corrections"

    def _made_patterns(self) -> dict[str, Array]:
        """A group of layers each."""
        groups = grouped(self.layers, _DIMENSIONS)
        return {_name(names): np.array([float(x in names) for x in self.layers]) for names in groups}


class Trends(_Corrected):
    """How corrections depend on what a layer is: few coordinates however deep the network is.

    The patterns are the layer's place, the logarithms of its parameters and of its MACs a parameter, and
    that of what the plain allocation makes its rise: a weight of the last one raises all rises to a power.
    Each is freed of what the earlier ones say, and has mean 0 and mean square 1; what then says nothing is
    left out.
    """

    kind = "trends"

    def _made_patterns(self) -> dict[str, Array]:
        """One a property."""
        dense = [max(row, key=lambda c: c.params) for row in self.table.values()]
        rises = [c.rise for c in self.grid.picked(self.plain)]
        properties = {
            "place": np.arange(float(len(dense))),
            "parameters": np.log([c.params for c in dense]),
            "MACs a parameter": np.log([max(c.macs, 1) / c.params for c in dense]),
            "rise": np.log(np.array(rises) + self._floor / len(rises)),
        }
        found: dict[str, Array] = {}
        for name, values in properties.items():
            spread = values.std()
            rest = values - values.mean()
            for other in found.values():
                rest = rest - other * (rest @ other) / len(rest)
            if rest.std() > _NEW * spread:
                found[name] = rest / rest.std()
        return found or {"place": np.zeros(len(dense))}


class Ranks(TabledSpace):
    """The number of each layer's candidate among those no other one beats, by parameters.

    A point that does not meet the limits decodes to the plan that `Grid.shrink` makes of it, so that
    samplers which know nothing of limits search all the same: they minimise the loss of the mended plan.
    """

    kind = "ranks"

    def __init__(
        self, table: Table, limits: Mapping[str, float], fixed: Mapping[str, float], *, front: bool = False
    ) -> None:
        """Take what `allocate` takes, and whether smaller plans are meant too."""
        self.front = front
        super().__init__(table, limits, fixed)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The layers."""
        return tuple(
            Dimension(name, 0, size - 1, integer=True)
            for name, size in zip(self.grid.layers, self.grid.sizes.tolist(), strict=True)
        )

    def decode(self, point: Array) -> Plan:
        """The plan of a point, made smaller where it does not meet the limits."""
        return self.grid.plan(self._shrunk(np.asarray(point)[None])[0])

    def encode(self, plan: Plan) -> Array:
        """The numbers of the plan's candidates, or of the nearest ones in parameters."""
        return self.grid.nearest(plan).astype(float)

    def sketch(self, points: Array) -> Sketch:
        """Exact."""
        return self._sketch_indices(self._shrunk(points))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Allocations under random corrections at any budget; the first one is the plain allocation."""
        spread = rng.choice([0.2, 0.5, 1.0, 2.0], size=(count, 1))
        corrections = spread * rng.standard_normal((count, len(self.grid.layers)))
        share = _shares(count, rng) if self.front else np.ones(count)
        points = self.grid.allocate(corrections, self._room(share)).astype(float)
        points[:1] = self.encode(self.plain)
        return points

    def vary(self, points: Array, rng: np.random.Generator) -> Array:
        """Move a few layers of each point by some candidates."""
        count, size = points.shape
        chosen = rng.random((count, size)) < rng.choice([1.0, 2.0, 4.0], size=(count, 1)) / size
        chosen[np.arange(count), rng.integers(size, size=count)] = True
        reach = np.maximum(self.grid.sizes * rng.choice([0.03, 0.1, 0.25], size=(count, 1)), 0.8)
        step = np.rint(reach * rng.standard_normal((count, size)))
        return np.asarray(np.clip(points + chosen * step, 0, self.grid.sizes - 1))

    def mend(self, points: Array, rng: np.random.Generator) -> Array:
        """Shrink what is too large, spend what is left over: both where a random correction says."""
        noise = 0.5 * rng.standard_normal(points.shape)
        at = self.grid.shrink(points.astype(np.int64), noise, self.grid.room)
        if not self.front:
            at = self.grid.grow(at, noise, self.grid.room)
        return at.astype(float)

    def _shrunk(self, points: Array) -> Indices:
        """Feasible numbers of candidates."""
        at = np.clip(np.rint(points), 0, self.grid.sizes - 1).astype(np.int64)
        return self.grid.shrink(at, np.zeros(at.shape), self.grid.room)


_KINDS: dict[str, Callable[..., Space]] = {"corrections": Corrections, "trends": Trends, "ranks": Ranks}


def make_space(
    kind: str, table: Table, limits: Mapping[str, float], fixed: Mapping[str, float], *, front: bool = False
) -> Space:
    """The space of a name.

    Args:
        kind: "corrections", "trends" or "ranks".
        table: candidates of the layers that may be factorised.
        limits: upper bounds by cost name, absolute.
        fixed: what the rest of the network costs; names every limit, and every other cost that is to be
            known.
        front: whether plans below the limits are wanted too.

    Raises:
        UnknownNameError: no such space.
        BudgetError: no plan meets the limits.
    """
    if kind not in _KINDS:
        raise UnknownNameError("search space", kind, _KINDS)
    return _KINDS[kind](table, limits, fixed, front=front)


def _shares(count: int, rng: np.random.Generator) -> Array:
    """Shares of the budget, 1 first, then evenly spread in any order."""
    return np.append(1.0, rng.permuted(np.linspace(0, 1, count)[:-1]))[:count]


def grouped(names: Sequence[str], most: int) -> list[list[str]]:
    """Neighbouring layers together, until there are at most `most` groups.

    The pair goes first whose names agree longest, then the pair that makes the smallest group.
    """
    groups = [[name] for name in names]
    while len(groups) > most:
        pairs = list(pairwise(groups))
        first = min(
            range(len(pairs)), key=lambda k: (-_common(*pairs[k]), len(pairs[k][0]) + len(pairs[k][1]))
        )
        groups[first : first + 2] = [groups[first] + groups[first + 1]]
    return groups


def _common(one: list[str], other: list[str]) -> int:
    """How many first parts all names of two groups share."""
    parts = zip(*(name.split(".") for name in one + other), strict=False)
    return sum(1 for _ in takewhile(lambda part: len(set(part)) == 1, parts))


def _name(names: list[str]) -> str:
    """What a group is called."""
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"
