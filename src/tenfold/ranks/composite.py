"""Ranks of a tensor train inside a Tucker-2: the outer ones by EVBMF, the inner one by allocation.

One weakening for the whole network moves the EVBMF ranks of every kernel towards the full ones (from 0 to 1)
or towards 1 (from 0 to -1). At a given weakening the inner ranks are those of the least predicted rise within
the budget. Of several weakenings, up to the most generous that the budget allows, the one of least rise is
taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tenfold.core.errors import BudgetError
from tenfold.core.plan import Plan
from tenfold.core.shapes import Rank
from tenfold.ranks.allocate import allocate, check_feasible
from tenfold.ranks.evbmf import evbmf_of_kernel, weakened
from tenfold.ranks.table import Candidate, Layer, Table, outline_of, priced
from tenfold.schemes.base import geometric_ladder
from tenfold.schemes.registry import get_scheme

__all__ = ["COMPOSITES", "composite_plan", "moved"]

COMPOSITES = ("tt", "tt-tucker")
"""Schemes with the ranks (inp, middle, out)."""

_WEAKENINGS = np.linspace(-1, 1, 81)
_TRIED = 5  # weakenings whose candidates are fitted
_APART = 4  # places on the grid between two of them
_INNER = 6  # inner ranks of each


def composite_plan(
    scheme: str,
    table: Table,
    limits: Mapping[str, float],
    fixed: Mapping[str, float],
    layers: Sequence[Layer],
    *,
    workers: int = 1,
) -> tuple[Plan, float]:
    """The plan, and the weakening that it was made with.

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
    places = _places(scheme, table, limits, fixed, spatial, outer)
    ranks = {
        layer.name: {rank for place in places for rank in _inner(scheme, layer, outer[layer.name], place)}
        for layer in spatial
    }
    rows = priced(spatial, scheme, {name: sorted(found) for name, found in ranks.items()}, workers=workers)
    found = []
    for place in places:
        own = _rows_at(scheme, {**table, **rows}, spatial, outer, place)
        try:
            plan = allocate(own, limits, fixed)
        except BudgetError:  # a limit on several costs together
            continue
        rise = sum(next(c.rise for c in row if c.choice == plan[name]) for name, row in own.items())
        found.append((rise, -place, plan))
    if not found:
        raise BudgetError("no weakening of the EVBMF ranks meets all limits together: raise one of them")
    _, place, plan = min(found, key=lambda one: one[:2])
    return plan, float(_WEAKENINGS[-place])


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


def _inner(scheme: str, layer: Layer, outer: tuple[int, int], place: int) -> list[Rank]:
    """Feasible ranks with the outer ones of a weakening, the inner one in about equal ratios."""
    spec, weakening = layer.spec.group, float(_WEAKENINGS[place])
    p, q = moved(outer[0], spec.out, weakening), moved(outer[1], spec.inp, weakening)
    made = get_scheme(scheme)
    most = made.clip(spec, (q, q * spec.kernel[0], p))[1]
    ranks = {made.clip(spec, (q, middle, p)) for middle in geometric_ladder(most, steps=_INNER)}
    return sorted(ranks)


def _places(
    scheme: str,
    table: Table,
    limits: Mapping[str, float],
    fixed: Mapping[str, float],
    spatial: Sequence[Layer],
    outer: Mapping[str, tuple[int, int]],
) -> list[int]:
    """Weakenings worth fitting, as places on the grid: the most generous within the limits, some below."""
    for place in reversed(range(len(_WEAKENINGS))):
        ranks = {layer.name: _inner(scheme, layer, outer[layer.name], place) for layer in spatial}
        rows = {**table, **outline_of(spatial, scheme, ranks)}
        dense_out = {name: row[1:] or row for name, row in rows.items()}
        if all(
            fixed[cost] + sum(min(getattr(c, cost) for c in row) for row in dense_out.values()) <= limit
            for cost, limit in limits.items()
        ):
            return list(range(place, -1, -_APART))[:_TRIED]
    raise BudgetError("no weakening of the EVBMF ranks meets the budget: raise it, or choose by allocation")


def _rows_at(
    scheme: str,
    table: Table,
    spatial: Sequence[Layer],
    outer: Mapping[str, tuple[int, int]],
    place: int,
) -> dict[str, tuple[Candidate, ...]]:
    """The table with the ranks of one weakening alone."""
    allowed = {layer.name: set(_inner(scheme, layer, outer[layer.name], place)) for layer in spatial}
    return {
        name: tuple(
            c for c in row if c.choice is None or name not in allowed or c.choice.rank in allowed[name]
        )
        for name, row in table.items()
    }
