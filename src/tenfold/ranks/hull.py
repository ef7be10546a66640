"""The lower convex hull of what candidates cost and lose."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["lower_hull"]


def lower_hull(cost: Sequence[float], rise: Sequence[float], *, first: int | None = None) -> list[int]:
    """The only candidates that a price can pick, those that minimise rise + price * cost.

    Args:
        cost: of each candidate, at least one.
        rise: what each loses, as many.
        first: candidate at which the hull begins; those that cost no more are left out. Else the cheapest,
            of two alike the one that loses less.

    Returns:
        Numbers of candidates, the cheapest first; each of them costs more than the one before it and loses
        less, ever less for the price.

    Example:
        >>> lower_hull([1, 2, 3, 9], [8.0, 7.5, 2.0, 1.0])
        [0, 2, 3]
    """
    order = sorted(range(len(cost)), key=lambda k: (cost[k], rise[k]))
    hull = [order[0] if first is None else first]
    for here in order:
        if rise[here] >= rise[hull[-1]] or cost[here] <= cost[hull[0]]:
            continue
        while len(hull) > 1 and _slope(cost, rise, *hull[-2:]) >= _slope(cost, rise, hull[-2], here):
            hull.pop()
        hull.append(here)
    return hull


def _slope(cost: Sequence[float], rise: Sequence[float], one: int, other: int) -> float:
    """Rise per unit of cost from one candidate to another that costs more."""
    return (rise[other] - rise[one]) / (cost[other] - cost[one])
