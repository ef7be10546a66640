"""Ranks of a tensor train inside a Tucker-2: the outer ones by EVBMF, the inner one left to choose.

One weakening for the whole network moves the EVBMF ranks of every kernel towards the full ones (from 0 to 1)
or towards 1 (from 0 to -1). Of several weakenings the one is taken whose allocation of inner ranks has the
least predicted rise within the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tenfold.core.errors import BudgetError
from tenfold.core.plan import Plan
from tenfold.core.shapes import Rank
from tenfold.ranks.allocate import allocate, check_feasible
from tenfold.ranks.evbmf import evbmf_of_kernel, weakened
from tenfold.ranks.table import Candidate, Layer, Table, priced
from tenfold.schemes.base import geometric_ladder
from tenfold.schemes.registry import get_scheme

__all__ = ["COMPOSITES", "Composite", "composite", "moved"]

COMPOSITES = ("tt", "tt-tucker")
"""Schemes with the ranks (inp, middle, out)."""

_WEAKENINGS = (1.0, 0.75, 0.5, 0.3, 0.15, 0.0, -0.25, -0.5, -0.75, -0.9, -1.0)
_INNER = 5  # inner ranks at each of them
_FINER = 20  # at the one that is taken


@dataclass(frozen=True)
class Composite:
    """What is left to choose once the outer ranks are known.

    Attributes:
        table: candidates with these outer ranks, and the layers as they are; of pointwise layers all.
        weakening: that the outer ranks were made with, in [-1, 1].
    """

    table: dict[str, tuple[Candidate, ...]]
    weakening: float


def composite(
    scheme: str,
    table: Table,
    limits: Mapping[str, float],
    fixed: Mapping[str, float],
    layers: Sequence[Layer],
    *,
    workers: int = 1,
) -> Composite:
    """The outer ranks of all layers, and the inner ones to choose from.

    Args:
        scheme: one of `COMPOSITES`.
        table: candidates of all layers; of it only pointwise layers take theirs.
        limits: as for `allocate`.
        fixed: as for `allocate`.
        layers: those of the table, with their kernels.
        workers: processes to fit in, at least 1.

    Raises:
        BudgetError: no weakening meets the limits.
        NonFiniteError: a kernel holds NaN or inf.
    """
    check_feasible(table, limits, fixed)
    spatial = [layer for layer in layers if layer.spec.kernel != (1, 1)]
    outer = {layer.name: _outer(layer) for layer in spatial}
    rest = {name: row for name, row in table.items() if name not in outer}

    def rows(weakenings: Sequence[float], steps: int) -> dict[str, tuple[Candidate, ...]]:
        ranks = {x.name: _ranks(scheme, x, outer[x.name], weakenings, steps) for x in spatial}
        return {**rest, **priced(spatial, scheme, ranks, workers=workers)}

    def ranks_at(weakening: float) -> dict[str, set[Rank]]:
        return {x.name: _ranks(scheme, x, outer[x.name], [weakening], _INNER) for x in spatial}

    every = rows(_WEAKENINGS, _INNER)
    found = []
    for weakening in _WEAKENINGS:
        own = _only(every, ranks_at(weakening))
        with suppress(BudgetError):  # too generous
            found.append((_rise(own, allocate(own, limits, fixed)), -weakening))
    if not found:
        raise BudgetError(
            "no weakening of the EVBMF ranks meets the budget: raise it, or choose by allocation"
        )
    best = -min(found)[1]
    finer = rows([best], _FINER)
    coarse = _only(every, ranks_at(best))
    joined = {
        name: tuple({c.choice: c for c in (*coarse[name], *row)}.values()) for name, row in finer.items()
    }
    return Composite(joined, best)


def moved(rank: int, full: int, weakening: float) -> int:
    """The rank moved towards the full one by a weakening, towards 1 by a negative one; see `weakened`.

    Example:
        >>> [moved(4, 8, weakening) for weakening in (-1, -0.5, 0, 0.5, 1)]
        [1, 3, 4, 6, 8]
    """
    if weakening >= 0:
        return weakened(rank, full, weakening)
    return weakened(1, max(1, rank), 1 + weakening)


def _outer(layer: Layer) -> tuple[int, int]:
    """The EVBMF ranks (p, q) of the plain kernel; of a grouped one the largest over its groups."""
    found = [evbmf_of_kernel(kernel) for kernel in layer.kernels()]
    p, q = (max(pair[side].rank for pair in found) for side in (0, 1))
    return p, q


def _ranks(
    scheme: str, layer: Layer, outer: tuple[int, int], weakenings: Sequence[float], steps: int
) -> set[Rank]:
    """Feasible ranks with the outer ones of some weakenings, the inner one in about equal ratios."""
    spec, made, ranks = layer.spec.group, get_scheme(scheme), set()
    for weakening in weakenings:
        p, q = moved(outer[0], spec.out, weakening), moved(outer[1], spec.inp, weakening)
        most = made.clip(spec, (q, q * spec.kernel[0], p))[1]
        ranks |= {made.clip(spec, (q, middle, p)) for middle in geometric_ladder(most, steps=steps)}
    return ranks


def _only(table: Table, ranks: Mapping[str, set[Rank]]) -> dict[str, tuple[Candidate, ...]]:
    """A table without the other ranks of the layers that are named."""
    return {
        name: tuple(c for c in row if name not in ranks or c.choice is None or c.choice.rank in ranks[name])
        for name, row in table.items()
    }


def _rise(table: Table, plan: Plan) -> float:
    """Predicted, of a whole plan."""
    return sum(next(c.rise for c in row if c.choice == plan[name]) for name, row in table.items())
