r"""The plan of least predicted rise under a budget.

    min  sum over layers of rise[choice]     subject to     sum of cost[choice] <= limit, for each limit

One limit: lower convex hulls and a Lagrange multiplier, then what is left of the budget is spent where it
lowers the rise most (Shoham & Gersho, IEEE Trans. ASSP 36(9), 1988). Several: the same problem as a
mixed-integer program, solved by HiGHS through scipy.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from tenfold.core.errors import BudgetError
from tenfold.core.plan import Plan
from tenfold.ranks.hull import lower_hull
from tenfold.ranks.table import Candidate, Table

__all__ = ["allocate", "check_feasible", "totals"]

_SECONDS = 20.0  # HiGHS stops there with the best plan it has; its gap is then far below the fits' own error


def totals(table: Table, plan: Plan, fixed: Mapping[str, float]) -> dict[str, float]:
    """What a plan ships: the sums of its candidates' costs and of `fixed`."""
    chosen = picked(table, plan).values()
    return {name: rest + sum(getattr(c, name) for c in chosen) for name, rest in fixed.items()}


def picked(table: Table, plan: Plan) -> dict[str, Candidate]:
    """The candidate of each layer that a plan names."""
    return {name: next(c for c in row if c.choice == plan[name]) for name, row in table.items()}


def allocate(table: Table, limits: Mapping[str, float], fixed: Mapping[str, float]) -> Plan:
    """Pick one candidate a layer.

    Args:
        table: candidates of the layers that may be factorised.
        limits: upper bounds by cost name ("params", "macs", "size_bytes", "latency_ms"), absolute.
        fixed: what the rest of the network costs, by the same names.

    Returns:
        A plan over all layers of the table that meets every limit.

    Raises:
        BudgetError: no plan meets a limit; says what is the smallest possible, and which layers ship most of
            it.

    Example:
        >>> keep, half = Candidate(None, 0.0, 100, 10, 400), Candidate(None, 1.0, 50, 10, 200)
        >>> len(allocate({"conv": (keep, half)}, {"params": 60.0}, {"params": 0.0}))
        1
    """
    check_feasible(table, limits, fixed)
    room = {name: limit - fixed[name] for name, limit in limits.items()}
    if len(room) == 1:
        ((name, left),) = room.items()
        picked = _by_multiplier(table, name, left)
    else:
        picked = _by_program(table, room)
    return Plan({layer: candidate.choice for layer, candidate in picked.items()})


def check_feasible(table: Table, limits: Mapping[str, float], fixed: Mapping[str, float]) -> None:
    """Refuse limits of which one alone is below the smallest plan; the arguments are those of `allocate`.

    Raises:
        BudgetError: such a limit; says what is the smallest possible, and which layers ship most of it.
    """
    for name, limit in limits.items():
        _check_limit(table, name, limit - fixed[name], limit)


def _check_limit(table: Table, name: str, left: float, limit: float) -> None:
    """Refuse a limit below the smallest plan."""
    least = {layer: min(getattr(c, name) for c in row) for layer, row in table.items()}
    if sum(least.values()) <= left:
        return
    smallest = sum(least.values()) + limit - left
    largest = sorted(least, key=lambda layer: -least[layer])[:3]
    kept = max(limit - left, 0)
    raise BudgetError(
        f"budget {name} <= {_amount(limit)}: the smallest possible is {_amount(smallest)}, of which "
        f"{_amount(kept)} lie in parts that are kept and most of the rest in "
        f"{', '.join(largest) or 'no layer'}; raise the budget"
    )


def _amount(value: float) -> str:
    """A limit as a person writes it: milliseconds come in parts.

    Example:
        >>> _amount(1234567.0), _amount(0.51234)
        ('1,234,567', '0.512')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:,.3f}"


def _by_multiplier(table: Table, name: str, left: float) -> dict[str, Candidate]:
    """From the smallest plan along the hulls, steepest first, as a falling price picks; spend the rest."""
    hulls = {layer: _hull(row, name) for layer, row in table.items()}
    picked = {layer: hull[0] for layer, hull in hulls.items()}
    left -= sum(getattr(c, name) for c in picked.values())
    steps = [(_slope(*pair, name), layer, *pair) for layer, hull in hulls.items() for pair in pairwise(hull)]
    for _, layer, have, candidate in sorted(steps, key=lambda step: step[0]):
        extra = getattr(candidate, name) - getattr(have, name)
        if extra > left:
            break
        left -= extra
        picked[layer] = candidate
    return _spend(table, picked, name, left)


def _hull(row: tuple[Candidate, ...], name: str) -> list[Candidate]:
    """The candidates of a layer that a price on one cost can pick."""
    return [row[k] for k in lower_hull([getattr(c, name) for c in row], [c.rise for c in row])]


def _slope(one: Candidate, other: Candidate, name: str) -> float:
    """Rise per unit of cost from one vertex of a hull to the next."""
    step: float = getattr(other, name) - getattr(one, name)
    return (other.rise - one.rise) / step


def _spend(table: Table, picked: dict[str, Candidate], name: str, spare: float) -> dict[str, Candidate]:
    """Take the best exchange, by rise per unit of cost, until nothing more fits."""
    picked = dict(picked)
    while True:
        best: tuple[float, str, Candidate] | None = None
        for layer, row in table.items():
            have = picked[layer]
            for candidate in row:
                extra = getattr(candidate, name) - getattr(have, name)
                gain = have.rise - candidate.rise
                if gain > 0 and extra <= spare:
                    value = gain / max(extra, 1e-9)
                    if best is None or value > best[0]:
                        best = (value, layer, candidate)
        if best is None:
            return picked
        _, layer, candidate = best
        spare -= getattr(candidate, name) - getattr(picked[layer], name)
        picked[layer] = candidate


def _by_program(table: Table, room: Mapping[str, float]) -> dict[str, Candidate]:
    """One binary variable a candidate, one row a layer and one a limit."""
    rows = [(layer, c) for layer, row in table.items() for c in row]
    rises = np.array([c.rise for _, c in rows])
    member = np.array([[float(layer == mine) for mine, _ in rows] for layer in table])
    costs = np.array([[getattr(c, name) for _, c in rows] for name in room], dtype=float)
    left = np.array(list(room.values()))
    # Scaled to its limit, each constraint has coefficients near 1, which the solver's tolerance wants.
    unit = np.where(left > 0, left, 1.0)
    constraints = [
        LinearConstraint(member, 1, 1),
        LinearConstraint(costs / unit[:, None], -np.inf, left / unit),
    ]
    while True:
        solved = milp(
            rises / (float(rises.max()) or 1.0),
            integrality=np.ones(len(rows)),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"time_limit": _SECONDS},
        )
        if solved.x is None:
            asked = ", ".join(f"{name} <= {_amount(most)}" for name, most in room.items())
            raise BudgetError(
                f"no plan meets {asked} together, though each alone can be met: raise one of them"
            )
        taken = solved.x > 0.5
        if (costs @ taken <= left).all():
            return {layer: c for (layer, c), mine in zip(rows, taken, strict=True) if mine}
        # A limit was missed by less than the solver's tolerance: that one plan is out, try again.
        constraints.append(LinearConstraint(taken.astype(float), -np.inf, len(table) - 1))
