"""What both search spaces have in common: exact costs, and the features of plans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tenfold.core.plan import Plan
from tenfold.ranks.allocate import allocate
from tenfold.ranks.table import Table
from tenfold.search.grid import Grid, Indices

__all__ = ["Dimension", "Sketch", "Space", "TabledSpace"]

Array = NDArray[np.float64]

_SATURATED = 0.01  # share of the plain allocation's rise below which a rise no longer shows in the loss


@dataclass(frozen=True)
class Dimension:
    """One coordinate.

    Attributes:
        name: a layer, a group of layers, or "share of the budget".
        low: smallest value.
        high: largest value.
        integer: whether only whole numbers are meant.
    """

    name: str
    low: float
    high: float
    integer: bool


@dataclass(frozen=True)
class Sketch:
    """Plans in bulk, as far as choosing among them needs.

    Attributes:
        features: square root of the predicted rise of each layer, (plans, layers).
        trend: logarithm of the predicted rise of all layers, (plans, 1).
        costs: each limited cost with what is fixed, (plans, limits).
    """

    features: Array
    trend: Array
    costs: Array


class Space(Protocol):
    """What a search moves in. Points are arrays (points, dimensions)."""

    kind: ClassVar[str]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The coordinates."""

    @property
    def layers(self) -> tuple[str, ...]:
        """What the features belong to."""

    @property
    def limits(self) -> Mapping[str, float]:
        """What a plan may ship, by cost name, absolute."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that gives a point its meaning."""

    def decode(self, point: Array) -> Plan:
        """The plan of one point, (dimensions,); it meets every limit."""

    def encode(self, plan: Plan) -> Array:
        """The point nearest to a plan, (dimensions,); where possible it decodes to the plan itself."""

    def costs(self, plan: Plan) -> dict[str, float]:
        """What a plan ships, exactly."""

    def fits(self, plan: Plan) -> bool:
        """Whether a plan meets every limit."""

    def sketch(self, points: Array) -> Sketch:
        """Features and costs of the plans of many points."""

    def sketch_plans(self, plans: list[Plan]) -> Sketch:
        """Features and costs of plans."""

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Allocations under other corrections and budgets; the first one is the plain allocation."""

    def vary(self, points: Array, rng: np.random.Generator) -> Array:
        """A mutation of each point."""

    def mend(self, points: Array, rng: np.random.Generator) -> Array:
        """The same number of feasible points near ones that were put together from others."""


class TabledSpace(ABC):
    """What both spaces have in common."""

    kind: ClassVar[str]

    def __init__(self, table: Table, limits: Mapping[str, float], fixed: Mapping[str, float]) -> None:
        """Take what `allocate` takes.

        Raises:
            BudgetError: no plan meets the limits.
        """
        self.table = {name: tuple(row) for name, row in table.items()}
        self.limits = dict(limits)
        self.fixed = {name: float(value) for name, value in fixed.items()}
        self.plain = allocate(self.table, self.limits, self.fixed)
        self.grid = Grid(self.table, self.limits, self.fixed)
        self._rest = np.array([fixed[name] for name in limits])
        rise = sum(c.rise for c in self.grid.picked(self.plain))
        self._floor = _SATURATED * (rise or 1.0)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the candidates, the limits and the kind of space.

        Not of the rises: two machines may compute them a rounding apart, and each trial keeps its plan.
        """
        rows = [
            (name, [(c.choice, c.params, c.macs, c.size_bytes) for c in row])
            for name, row in self.table.items()
        ]
        text = repr((self.kind, rows, self.limits, self.fixed, [repr(d) for d in self.dimensions]))
        return sha256(text.encode()).hexdigest()

    @property
    def layers(self) -> tuple[str, ...]:
        """What the features belong to."""
        return self.grid.layers

    @property
    @abstractmethod
    def dimensions(self) -> tuple[Dimension, ...]:
        """The coordinates."""

    def costs(self, plan: Plan) -> dict[str, float]:
        """What a plan ships, exactly.

        Raises:
            PlanError: the plan names a candidate that is not in the table.
        """
        return self.grid.costs(plan)

    def fits(self, plan: Plan) -> bool:
        """Whether a plan meets every limit."""
        costs = self.costs(plan)
        return all(costs[name] <= limit for name, limit in self.limits.items())

    def sketch_plans(self, plans: list[Plan]) -> Sketch:
        """Features and costs of plans; they need not meet the limits."""
        picked = [self.grid.picked(plan) for plan in plans]
        rises = np.array([[c.rise for c in row] for row in picked]).reshape(len(plans), -1)
        costs = [[sum(getattr(c, name) for c in row) for name in self.limits] for row in picked]
        return self._sketch(rises, np.array(costs, dtype=float).reshape(len(plans), -1))

    def _sketch_indices(self, indices: Indices) -> Sketch:
        """The same of plans as numbers of candidates."""
        return self._sketch(self.grid.rise_of(indices), self.grid.used(indices))

    def _sketch(self, rises: Array, used: Array) -> Sketch:
        """The same of the candidates' figures."""
        trend = np.log(rises.sum(1, keepdims=True) + self._floor)
        return Sketch(np.sqrt(rises), trend, used + self._rest)

    def _room(self, share: Array) -> Array:
        """What may be used of each limit at `share` of the logarithmic way from the least to it."""
        least, most = np.maximum(self.grid.least + self._rest, 1e-9), self.grid.room + self._rest
        return np.asarray(least * (most / least) ** share[:, None] - self._rest)
