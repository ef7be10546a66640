"""The rules that choose ranks without weighing the layers against each other: what an allocation must beat.

Each rule has one number for the whole network, and takes the most generous value at which its plan meets
every limit. The number of plans along the way is finite, and all are looked at in that order: limits are met
exactly, several of them as well, and a larger budget never gives a layer less. What one step of the number
would overspend stays unspent.

The *share* of a candidate is the largest of its limited costs in units of those of the kept layer. A layer
whose candidates all lie above what a rule grants it takes the one of least share.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Protocol

import numpy as np

from tenfold.core.errors import BudgetError, PlanError, UnknownNameError, nearest
from tenfold.core.plan import Plan
from tenfold.core.shapes import ConvSpec, params, repeat_groups
from tenfold.ranks.allocate import allocate, check_feasible
from tenfold.ranks.evbmf import evbmf_of_kernel, weakened
from tenfold.ranks.table import Candidate, Layer, Table
from tenfold.schemes.registry import get_scheme

__all__ = ["SELECTORS", "Selector", "energy", "evbmf_plan", "get_selector", "random_plan", "uniform"]

_SPREAD = 2.0  # of the random log-shares: the most and the least favoured layer differ by a factor up to e^4
# Weakenings looked at, from the least rank to the full one; finer than a rank in up to 1,000 channels.
_WEAKENINGS = np.linspace(-1, 1, 2001)


class Selector(Protocol):
    """What all rules look like in `SELECTORS`; each takes of `layers` and `seed` what it needs."""

    def __call__(
        self,
        table: Table,
        limits: Mapping[str, float],
        fixed: Mapping[str, float],
        *,
        layers: Sequence[Layer] = (),
        seed: int = 0,
    ) -> Plan:
        """A plan over all layers of the table that meets every limit; see `allocate` for the arguments."""


def uniform(table: Table, limits: Mapping[str, float], fixed: Mapping[str, float]) -> Plan:
    """One share for all layers: each takes its candidate of least rise within it.

    Args:
        table: as for `allocate`.
        limits: as for `allocate`.
        fixed: as for `allocate`.

    Raises:
        BudgetError: no plan meets a limit, or no share meets several limits together.

    Example:
        >>> from tenfold.core.plan import Choice
        >>> row = (Candidate(None, 0.0, 100, 10, 400), Candidate(Choice("svd", (4,)), 1.0, 50, 5, 200))
        >>> len(uniform({"a": row, "b": row}, {"params": 150.0}, {"params": 0.0}).factorised)
        2
    """
    check_feasible(table, limits, fixed)
    shares = {name: _shares(row, limits) for name, row in table.items()}
    return _within_shares("uniform", table, limits, fixed, shares)


def random_plan(
    table: Table, limits: Mapping[str, float], fixed: Mapping[str, float], *, seed: int = 0
) -> Plan:
    """As `uniform`, but each layer's share is multiplied by a random number, e^-2 to e^2, uniform in its log.

    It spends the budget as the others do: random search must not lose by asking for less. The same `seed`
    gives the same numbers at every budget.

    Raises:
        BudgetError: as `uniform`.
    """
    check_feasible(table, limits, fixed)
    draws = np.exp(np.random.default_rng(seed).uniform(-_SPREAD, _SPREAD, len(table)))
    granted = {
        name: [share / float(draw) for share in _shares(row, limits)]
        for draw, (name, row) in zip(draws, table.items(), strict=True)
    }
    return _within_shares("random", table, limits, fixed, granted)


def evbmf_plan(
    table: Table, limits: Mapping[str, float], fixed: Mapping[str, float], layers: Iterable[Layer]
) -> Plan:
    """One weakening for all layers: each may ship as much as its weakened EVBMF ranks ask for.

    The ranks are those of the plain kernel's two channel unfoldings, in the metric of no data; of a
    grouped layer the largest over its groups. What they ask for is the parameters of a Tucker-2 at these
    ranks, of an SVD where the kernel is 1x1; the layer takes its candidate of least rise within it, of
    whatever scheme the table holds. The weakening goes from 1, the full rank, over 0, the EVBMF ranks, down
    to -1, where every rank is 1: a budget may be smaller than EVBMF's own.

    Args:
        table: as for `allocate`.
        limits: as for `allocate`; what ranks ask for in parameters is granted of every limited cost.
        fixed: as for `allocate`.
        layers: those of the table, with their kernels.

    Raises:
        BudgetError: no plan meets a limit, or no weakening meets several limits together.
        PlanError: a layer of the table is not among `layers`.
        NonFiniteError: a kernel holds NaN or inf.
    """
    check_feasible(table, limits, fixed)
    granted = {}
    for name, layer in _by_name(table, layers).items():
        row = table[name]
        shares = _weakened_shares(layer, row[0])
        places = np.searchsorted(shares, _shares(row, limits))
        # The least weakening that grants a candidate; none does where it asks for more than the kept layer.
        granted[name] = [*map(float, np.append(_WEAKENINGS, inf)[places])]
    return _within_shares("evbmf", table, limits, fixed, granted)


def energy(
    table: Table, limits: Mapping[str, float], fixed: Mapping[str, float], layers: Iterable[Layer]
) -> Plan:
    """One threshold of lost energy for all layers: each takes its candidate of least share below it.

    The energy is that of the kernel in the layer's metric, so that what is lost of it is the predicted rise
    relative to the rise of leaving the whole layer out.

    Args:
        table: as for `allocate`.
        limits: as for `allocate`.
        fixed: as for `allocate`.
        layers: those of the table, with their kernels and metrics.

    Raises:
        BudgetError: no plan meets a limit, or no threshold meets several limits together.
        PlanError: a layer of the table is not among `layers`.
    """
    check_feasible(table, limits, fixed)
    ladders = {}
    for name, layer in _by_name(table, layers).items():
        row = table[name]
        whole = sum(m.cost(kernel) for m, kernel in zip(layer.metrics, layer.kernels(), strict=True))
        lost = [c.rise / whole if whole else 0.0 for c in row]
        scores = [(share, c.rise) for c, share in zip(row, _shares(row, limits), strict=True)]
        ladders[name] = _ladder(row, lost, scores, row[0])  # every threshold admits the kept layer
    levels = sorted({key for ladder in ladders.values() for key in ladder.keys})
    return _first_within("energy", [*levels, inf], ladders, limits, fixed)


def get_selector(name: str) -> Selector:
    """The rule called `name`.

    Raises:
        UnknownNameError: there is none; the near names are in the message.

    Example:
        >>> sorted(SELECTORS)
        ['allocation', 'energy', 'evbmf', 'random', 'uniform']
    """
    if name not in SELECTORS:
        raise UnknownNameError("rank selector", name, SELECTORS)
    return SELECTORS[name]


@dataclass(frozen=True)
class _Ladder:
    """What a layer takes at each level of a rule.

    Attributes:
        keys: levels from which on the pick of the same place holds, ascending.
        picks: candidates.
        least: what it takes below the first key.
    """

    keys: tuple[float, ...]
    picks: tuple[Candidate, ...]
    least: Candidate

    def at(self, level: float) -> Candidate:
        """The candidate taken at `level`."""
        place = bisect_right(self.keys, level)
        return self.picks[place - 1] if place else self.least


def _ladder(
    row: Sequence[Candidate],
    keys: Sequence[float],
    scores: Sequence[tuple[float, float]],
    least: Candidate,
) -> _Ladder:
    """At each level the best scored of the candidates whose key is at most the level; below them `least`."""
    taken: list[int] = []
    for place in sorted(range(len(row)), key=lambda place: (keys[place], scores[place])):
        if not taken or scores[place] < scores[taken[-1]]:
            taken.append(place)
    return _Ladder(tuple(keys[place] for place in taken), tuple(row[place] for place in taken), least)


def _within_shares(
    rule: str,
    table: Table,
    limits: Mapping[str, float],
    fixed: Mapping[str, float],
    granted: Mapping[str, Sequence[float]],
) -> Plan:
    """The plan of the highest level; `granted` says from which level on a candidate may be taken."""
    ladders = {}
    for name, row in table.items():
        shares = _shares(row, limits)
        least = min(range(len(row)), key=lambda place: (shares[place], row[place].rise))
        scores = [(c.rise, share) for c, share in zip(row, shares, strict=True)]
        ladders[name] = _ladder(row, granted[name], scores, row[least])
    levels = sorted({key for ladder in ladders.values() for key in ladder.keys}, reverse=True)
    return _first_within(rule, [*levels, -inf], ladders, limits, fixed)


def _first_within(
    rule: str,
    levels: Iterable[float],
    ladders: Mapping[str, _Ladder],
    limits: Mapping[str, float],
    fixed: Mapping[str, float],
) -> Plan:
    """The first plan that meets every limit."""
    for level in levels:
        picked = {name: ladder.at(level) for name, ladder in ladders.items()}
        if all(
            fixed[cost] + sum(getattr(c, cost) for c in picked.values()) <= limit
            for cost, limit in limits.items()
        ):
            return Plan({name: candidate.choice for name, candidate in picked.items()})
    asked = ", ".join(f"{cost} <= {limit:,.0f}" for cost, limit in limits.items())
    raise BudgetError(
        f"the {rule} ranks meet {asked} at no level, though each alone can be met: raise one of them, "
        "or choose the ranks by allocation"
    )


def _shares(row: Sequence[Candidate], limits: Mapping[str, float]) -> list[float]:
    """Of each candidate the largest of the limited costs, in units of the kept layer's."""
    return [max(getattr(c, cost) / getattr(row[0], cost) for cost in limits) for c in row]


def _by_name(table: Table, layers: Iterable[Layer]) -> dict[str, Layer]:
    """The layers of the table, in its order."""
    known = {layer.name: layer for layer in layers}
    for name in table:
        if name not in known:
            raise PlanError(
                f"the table has a layer {name!r} whose kernel is not given; {nearest(name, known)}"
            )
    return {name: known[name] for name in table}


def _weakened_shares(layer: Layer, kept: Candidate) -> list[float]:
    """Parameters that each of the `_WEAKENINGS` asks for, in units of the kept layer's; ascending."""
    found = [evbmf_of_kernel(kernel) for kernel in layer.kernels()]
    p, q = (max(pair[side].rank for pair in found) for side in (0, 1))
    group = layer.spec.group
    pairs = [(_moved(p, group.out, w), _moved(q, group.inp, w)) for w in _WEAKENINGS.tolist()]
    asked = {pair: _asked(layer.spec, pair) / kept.params for pair in set(pairs)}
    # A full rank drops a stage and may ask for less than ranks below it: these ask for no more either then.
    return [*map(float, np.minimum.accumulate([asked[pair] for pair in reversed(pairs)])[::-1])]


def _moved(rank: int, full: int, weakening: float) -> int:
    """The rank moved towards the full one by a weakening, towards 1 by a negative one."""
    return weakened(rank, full, weakening) if weakening >= 0 else weakened(1, max(1, rank), 1 + weakening)


def _asked(spec: ConvSpec, pair: tuple[int, int]) -> int:
    """Parameters of the Tucker-2, or where the kernel is 1x1 of the SVD, with the channel ranks (p, q)."""
    pointwise = spec.kernel == (1, 1)
    scheme = get_scheme("svd" if pointwise else "tucker")
    rank = scheme.clip(spec.group, (min(pair),) if pointwise else pair)
    return params(repeat_groups(scheme.layout(spec.group, rank), spec.groups), bias=spec.bias)


def _selector(choose: Callable[..., Plan], *needed: str) -> Selector:
    """A rule that is given `needed` of the layers and the seed."""

    def selector(
        table: Table,
        limits: Mapping[str, float],
        fixed: Mapping[str, float],
        *,
        layers: Sequence[Layer] = (),
        seed: int = 0,
    ) -> Plan:
        offered = {"layers": layers, "seed": seed}
        return choose(table, limits, fixed, **{name: offered[name] for name in needed})

    return selector


SELECTORS: Mapping[str, Selector] = MappingProxyType(
    {
        "allocation": _selector(allocate),
        "uniform": _selector(uniform),
        "energy": _selector(energy, "layers"),
        "evbmf": _selector(evbmf_plan, "layers"),
        "random": _selector(random_plan, "seed"),
    }
)
"""The rules by name: ``SELECTORS[name](table, limits, fixed, layers=layers, seed=0)``."""
