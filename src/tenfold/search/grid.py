"""The table of candidates as arrays: sums of costs and greedy allocations for hundreds of plans at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import PlanError
from tenfold.core.plan import Plan
from tenfold.ranks.hull import lower_hull
from tenfold.ranks.table import Candidate, Table

__all__ = ["Grid", "Indices"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
"""Plans as numbers of candidates, (plans, layers)."""


class _Steps(NamedTuple):
    """All steps from one vertex of a layer's lower convex hull to the next, over all layers.

    Attributes:
        layer: whose step it is, (steps,).
        start: candidate before it.
        end: candidate after it.
        worth: logarithm of the rise it takes away for each unit of the limits it takes up.
        costs: what it takes up of each limit, (steps, limits).
    """

    layer: Indices
    start: Indices
    end: Indices
    worth: Array
    costs: Array


class Grid:
    """The candidates of each layer that no other one beats in all costs and in the rise, by parameters.

    Attributes:
        layers: names, in the order of the table.
        rows: the candidates of each layer, the smallest first.
        room: what the layers may use of each limit, (limits,).
        least: what the smallest plan uses of each limit, at most `room`, (limits,).
        sizes: number of candidates of each layer, (layers,).
    """

    def __init__(self, table: Table, limits: Mapping[str, float], fixed: Mapping[str, float]) -> None:
        """Lay out `table` for plans below `limits`; both as for `tenfold.ranks.allocate.allocate`."""
        self.layers = tuple(table)
        self._limited = tuple(limits)
        self.rows = tuple(_unbeaten(table[name], self._limited) for name in self.layers)
        self._all = {(name, c.choice): c for name, row in table.items() for c in row}
        self._fixed = {name: float(value) for name, value in fixed.items()}
        self.room = np.array([limits[name] - fixed[name] for name in self._limited])
        self.sizes = np.array([len(row) for row in self.rows])
        self._costs = np.stack([self._padded(name) for name in self._limited], axis=-1)
        self._rises = self._padded("rise")
        self.least = np.minimum(self.used(self._smallest()[None])[0], self.room)
        self._steps = tuple(self._made_steps(weights) for weights in _weightings(len(self._limited)))

    def _padded(self, name: str) -> Array:
        """An attribute of all candidates, (layers, most candidates); the last one repeats to the end."""
        out = np.empty((len(self.rows), int(self.sizes.max(initial=1))))
        for place, row in enumerate(self.rows):
            out[place] = getattr(row[-1], name)
            out[place, : len(row)] = [getattr(c, name) for c in row]
        return out

    def picked(self, plan: Plan) -> list[Candidate]:
        """The candidates that a plan names, in the order of the layers.

        Raises:
            PlanError: the plan leaves a layer out, or names a candidate that is not in the table.
        """
        found = []
        for name in self.layers:
            if name not in plan or (name, plan[name]) not in self._all:
                met = repr(plan[name]) if name in plan else "nothing"
                raise PlanError(
                    f"plan, layer {name!r}: {met} is no candidate of the table that is searched; "
                    "add it to the table, or choose one that is there"
                )
            found.append(self._all[name, plan[name]])
        return found

    def costs(self, plan: Plan) -> dict[str, float]:
        """What a plan ships, exactly."""
        picked = self.picked(plan)
        return {n: rest + sum(getattr(c, n) for c in picked) for n, rest in self._fixed.items()}

    def plan(self, row: Sequence[int] | Indices) -> Plan:
        """The plan of one number a layer."""
        return Plan(
            {n: self.rows[k][int(i)].choice for k, (n, i) in enumerate(zip(self.layers, row, strict=True))}
        )

    def nearest(self, plan: Plan) -> Indices:
        """For each layer the number of the candidate itself, or of the nearest in parameters, (layers,)."""
        out = []
        for row, have in zip(self.rows, self.picked(plan), strict=True):
            away = [(c is not have, abs(c.params - have.params)) for c in row]
            out.append(away.index(min(away)))
        return np.array(out)

    def used(self, indices: Indices) -> Array:
        """What plans use of each limit, beside what is fixed, (plans, limits)."""
        return np.asarray(self._costs[np.arange(len(self.rows)), indices].sum(1))

    def rise_of(self, indices: Indices) -> Array:
        """Predicted rise of each layer of each plan, (plans, layers)."""
        return np.asarray(self._rises[np.arange(len(self.rows)), indices])

    def worth_at(self, row: Indices) -> Array:
        """Logarithm of the rise that a unit of the limits takes away around each candidate, (layers,).

        Where a layer has one candidate only, the mean of the others.
        """
        found = np.full(len(self.rows), np.nan)
        for layer, (size, here) in enumerate(zip(self.sizes.tolist(), row.tolist(), strict=True)):
            if size > 1:
                below, above = max(here - 1, 0), min(here + 1, size - 1)
                cost = self._weighed(layer)
                fall = max(self._rises[layer, below] - self._rises[layer, above], 1e-300)
                found[layer] = np.log(fall / max(cost[above] - cost[below], 1e-300))
        return np.where(np.isnan(found), np.nanmean(found) if np.isfinite(found).any() else 0.0, found)

    def allocate(self, corrections: Array, room: Array) -> Indices:
        """Spend the room where a corrected rise falls most, for many plans at once.

        As `tenfold.ranks.allocate.allocate` along the hulls; it is not told of candidates off the hulls, so
        that now and then a plan has one layer a step smaller. Good enough to choose among plans by.

        Args:
            corrections: logarithm of a factor on each layer's rises, (plans, layers).
            room: what may be used of each limit, (plans, limits).
        """
        made = [self._allocated(steps, corrections, room) for steps in self._steps]
        if len(made) == 1:
            return made[0]
        rises = [(np.exp(corrections) * self.rise_of(indices)).sum(1) for indices in made]
        return np.asarray(np.stack(made)[np.argmin(rises, axis=0), np.arange(len(corrections))])

    def _allocated(self, steps: _Steps, corrections: Array, room: Array) -> Indices:
        """Take the steps in the order of what they are worth, each if it still fits."""
        worth = steps.worth + corrections[:, steps.layer]
        order = np.argsort(-worth, axis=1, kind="stable")
        every = np.arange(len(corrections))
        at = np.repeat(self._smallest()[None], len(corrections), axis=0)
        left = room - self.used(at)
        for step in order.T:
            layer = steps.layer[step]
            taken = (at[every, layer] == steps.start[step]) & (steps.costs[step] <= left).all(1)
            at[every[taken], layer[taken]] = steps.end[step][taken]
            left -= np.where(taken[:, None], steps.costs[step], 0.0)
        return at

    def shrink(self, indices: Indices, keep: Array, room: Array) -> Indices:
        """Make plans smaller, candidate by candidate, until they meet the room.

        Each time the layer goes one candidate down that loses least, in rise for each unit that is over.

        Args:
            indices: plans that may be too large.
            keep: logarithm of how unwilling each layer is, (plans, layers).
            room: what may be used of each limit, (plans, limits).
        """
        at, every, layers = indices.copy(), np.arange(len(indices)), np.arange(len(self.rows))
        for _ in range(int(self.sizes.sum())):
            over = np.maximum(self.used(at) - room, 0.0)
            wrong = over.any(1)
            if not wrong.any():
                break
            lower = np.maximum(at - 1, 0)
            saved = self._costs[layers, at] - self._costs[layers, lower]
            gain = (saved * (over / np.maximum(room, 1.0))[:, None]).sum(-1)
            loss = np.maximum(self._rises[layers, lower] - self._rises[layers, at], 1e-12)
            price = np.where(
                (lower < at) & (gain > 0), np.log(loss) + keep - np.log(np.maximum(gain, 1e-300)), np.inf
            )
            worst = price.argmin(1)
            stuck = ~np.isfinite(price[every, worst])
            moved = wrong & ~stuck
            at[every[moved], worst[moved]] -= 1
            # With several limits a plan can be stuck: a layer's fewest parameters are not its fewest MACs.
            at[wrong & stuck] = self._smallest()
        return at

    def grow(self, indices: Indices, keep: Array, room: Array) -> Indices:
        """Spend what is left of the room, candidate by candidate, where the corrected rise falls most.

        The arguments are those of `shrink`.
        """
        at, every, layers = indices.copy(), np.arange(len(indices)), np.arange(len(self.rows))
        for _ in range(int(self.sizes.sum())):
            upper = np.minimum(at + 1, self.sizes - 1)
            extra = self._costs[layers, upper] - self._costs[layers, at]
            fall = self._rises[layers, at] - self._rises[layers, upper]
            possible = (upper > at) & (fall > 0) & (extra <= (room - self.used(at))[:, None]).all(-1)
            if not possible.any():
                break
            share = np.maximum((extra / np.maximum(room, 1.0)).sum(-1), 1e-12)
            worth = np.where(possible, np.log(np.maximum(fall, 1e-300)) + keep - np.log(share), -np.inf)
            best = worth.argmax(1)
            moved = possible[every, best]
            at[every[moved], best[moved]] += 1
        return at

    def _smallest(self) -> Indices:
        """The candidate of each layer that takes up least, (layers,)."""
        return np.array([int(np.argmin(self._weighed(k))) for k in range(len(self.rows))], dtype=np.int64)

    def _weighed(self, layer: int, weights: Array | float = 1.0) -> Array:
        """Costs of a layer's candidates as a weighted sum of shares of the limits."""
        shares = self._costs[layer, : self.sizes[layer]] / np.maximum(self.room, 1.0)
        return np.asarray((shares * weights).sum(1))

    def _made_steps(self, weights: Array) -> _Steps:
        """The steps along the hull of each layer, from the candidate that takes up least."""
        found = []
        smallest = self._smallest()
        for layer, row in enumerate(self.rows):
            cost, rise = self._weighed(layer, weights), self._rises[layer, : len(row)]
            for start, end in pairwise(lower_hull(cost.tolist(), rise.tolist(), first=int(smallest[layer]))):
                worth = np.log(max(rise[start] - rise[end], 1e-300) / max(cost[end] - cost[start], 1e-300))
                found.append((layer, start, end, worth, self._costs[layer, end] - self._costs[layer, start]))
        layer_, start_, end_, worth_, costs_ = zip(*found, strict=True) if found else ((), (), (), (), ())
        return _Steps(
            np.array(layer_, dtype=np.int64),
            np.array(start_, dtype=np.int64),
            np.array(end_, dtype=np.int64),
            np.array(worth_, dtype=float),
            np.array(costs_, dtype=float).reshape(-1, len(self._limited)),
        )


def _unbeaten(row: tuple[Candidate, ...], limited: tuple[str, ...]) -> tuple[Candidate, ...]:
    """The candidates that no other one equals or beats in the limited costs and the rise, by parameters."""
    key = np.array([[*(getattr(c, n) for n in limited), c.rise] for c in row], dtype=float)
    kept = []
    for place, mine in enumerate(key):
        as_good = (key <= mine).all(1)
        better = as_good & ((key < mine).any(1) | (np.arange(len(row)) < place))
        if not better.any():
            kept.append(row[place])
    return tuple(sorted(kept, key=lambda c: (c.params, -c.rise)))


def _weightings(limits: int) -> list[Array]:
    """How the limits are weighed against each other: each alone counts, or all alike."""
    even = np.full(limits, 1.0)
    return (
        [even, *(np.where(np.arange(limits) == k, 1.0, 0.01) for k in range(limits))]
        if limits > 1
        else [even]
    )
