from __future__ import annotations

import re
from itertools import combinations, pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.core.errors import BudgetError
from tenfold.core.plan import Choice, Plan
from tenfold.ranks.allocate import allocate, totals
from tenfold.ranks.table import Candidate, Table

FIXED = {"params": 17.0, "macs": 1000.0, "size_bytes": 68.0}
# HiGHS stops within 1e-4 of the optimum, its default relative gap; one limit alone sums up in rounding.
GAP = 1e-4
ROUNDING = 1e-9
LAWS = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def candidate(choice: Choice | None, rise: float, params: int, macs: int) -> Candidate:
    return Candidate(choice, rise, params, macs, 4 * params)


@st.composite
def tables(draw, *, layers: int = 3, choices: int = 3) -> Table:
    """Small tables: each layer kept, or one of a few candidates, in any order of cost and rise."""
    costs, rises = st.integers(1, 60), st.integers(1, 1000).map(lambda n: n / 64)
    table = {}
    for layer in range(layers):
        kept = candidate(None, 0.0, draw(st.integers(20, 80)), draw(st.integers(20, 80)))
        made = [
            candidate(Choice("svd", (rank,)), draw(rises), draw(costs), draw(costs))
            for rank in range(1, choices + 1)
        ]
        table[f"layer{layer}"] = (kept, *made)
    return table


def picks(table: Table) -> list[tuple[Candidate, ...]]:
    """Every plan there is."""
    return list(product(*table.values()))


def sums(pick: tuple[Candidate, ...]) -> dict[str, float]:
    return {name: rest + sum(getattr(c, name) for c in pick) for name, rest in FIXED.items()}


def rise(pick: tuple[Candidate, ...]) -> float:
    return sum(c.rise for c in pick)


def picked(table: Table, plan: Plan) -> tuple[Candidate, ...]:
    assert list(plan) == list(table)
    return tuple(next(c for c in row if c.choice == plan[layer]) for layer, row in table.items())


def meets(pick: tuple[Candidate, ...], limits: dict[str, float]) -> bool:
    return all(sums(pick)[name] <= limit for name, limit in limits.items())


def least_rise(table: Table, limits: dict[str, float]) -> float:
    return min(rise(pick) for pick in picks(table) if meets(pick, limits))


def smallest(table: Table, name: str) -> float:
    return FIXED[name] + sum(min(getattr(c, name) for c in row) for row in table.values())


def best_at_one_price(table: Table, name: str, limit: float) -> float:
    """Least rise of the plans that one price on `name` picks, over all prices that matter."""
    prices = {0.0, 1e9}
    for row in table.values():
        for one, other in combinations(row, 2):
            step = getattr(one, name) - getattr(other, name)
            if step:
                price = (other.rise - one.rise) / step
                prices |= {price * (1 - 1e-9), price * (1 + 1e-9)}
    plans = [
        tuple(
            min(row, key=lambda c: (c.rise + price * getattr(c, name), getattr(c, name)))
            for row in table.values()
        )
        for price in prices
        if price >= 0
    ]
    return min(rise(pick) for pick in plans if meets(pick, {name: limit}))


@LAWS
@given(tables(), st.sampled_from(["params", "macs", "size_bytes"]), st.floats(0, 1))
def test_one_limit_is_met_and_spent_as_well_as_one_price_and_exchanges_can(table, name, share):
    least, most = smallest(table, name), max(sums(pick)[name] for pick in picks(table))
    limits = {name: least + share * (most - least)}
    found = picked(table, allocate(table, limits, {name: FIXED[name]}))
    assert meets(found, limits)
    assert rise(found) >= least_rise(table, limits) - ROUNDING
    assert rise(found) <= best_at_one_price(table, name, limits[name]) + ROUNDING
    for place, row in enumerate(table.values()):
        for other in row:
            exchanged = (*found[:place], other, *found[place + 1 :])
            assert not (meets(exchanged, limits) and rise(exchanged) < rise(found) - ROUNDING)


@settings(LAWS, max_examples=150)
@given(tables(layers=3, choices=6), st.floats(0, 0.6))
def test_a_larger_budget_never_gives_a_larger_rise(table, share):
    least, most = smallest(table, "params"), max(sums(pick)["params"] for pick in picks(table))
    limit = least + share * (most - least)
    plans = [allocate(table, {"params": limit + more}, FIXED) for more in range(0, 24, 2)]
    rises = [rise(picked(table, plan)) for plan in plans]
    assert all(after <= before + ROUNDING for before, after in pairwise(rises))


@LAWS
@given(tables(), st.floats(0, 1), st.integers(0, 63))
def test_several_limits_equal_brute_force(table, share, which):
    pick = picks(table)[which]  # some plan that meets both limits
    limits = {"params": sums(pick)["params"], "macs": sums(pick)["macs"] + share * 40}
    found = picked(table, allocate(table, limits, FIXED))
    assert meets(found, limits)
    assert rise(found) <= least_rise(table, limits) * (1 + GAP) + ROUNDING


def test_hulls_and_multiplier_find_the_optimum_of_a_convex_table():
    rows = {"a": ((0, 40), (1, 30), (4, 20), (9, 10)), "b": ((0, 40), (2, 30), (8, 20), (18, 10))}
    table = {
        name: tuple(
            candidate(Choice("svd", (params,)) if rise else None, rise, params, 1) for rise, params in row
        )
        for name, row in rows.items()
    }
    # On a hull the best exchange is also the best plan, at each multiple of the common step.
    for limit in range(20, 90, 10):
        plan = allocate(table, {"params": limit}, {"params": 0})
        best = min(rise(p) for p in picks(table) if sum(c.params for c in p) <= limit)
        assert rise(picked(table, plan)) == best


def test_what_is_left_over_goes_where_it_lowers_the_rise_most():
    table = {
        name: (candidate(None, 0.0, 20 + cost, 1), candidate(Choice("svd", (1,)), gain, 20, 1))
        for name, cost, gain in (("far", 100, 1000.0), ("a", 10, 5.0), ("b", 5, 4.0), ("c", 5, 3.0))
    }
    # The best bargain does not fit; of the rest, b and c together beat a.
    plan = allocate(table, {"params": 90}, {"params": 0})
    assert set(plan.factorised) == {"far", "a"}


def test_equal_layers_are_not_all_or_nothing():
    row = (candidate(None, 0.0, 10, 1), candidate(Choice("svd", (1,)), 1.0, 5, 1))
    table = {f"layer{n}": row for n in range(5)}
    plan = allocate(table, {"params": 40}, {"params": 0})
    assert len(plan.factorised) == 2
    assert totals(table, plan, {"params": 0}) == {"params": 40}


def test_a_limit_missed_by_less_than_the_solvers_tolerance_is_missed():
    big = 10**9
    row = (candidate(None, 0.0, big, big), candidate(Choice("svd", (1,)), 1.0, big // 2, big // 2))
    table, limits = {"a": row, "b": row}, {"params": 2 * big - 1, "macs": 2 * big - 1}
    plan = allocate(table, limits, {"params": 0, "macs": 0})
    assert len(plan.factorised) == 1


def test_totals_add_what_is_fixed():
    table = {"a": (candidate(None, 0.0, 10, 7), candidate(Choice("svd", (1,)), 1.0, 5, 3))}
    assert totals(table, Plan({"a": Choice("svd", (1,))}), FIXED) == {
        "params": 22,
        "macs": 1003,
        "size_bytes": 88,
    }


@LAWS
@given(tables(), st.sampled_from(["params", "macs"]))
def test_the_smallest_possible_is_possible_and_named(table, name):
    least = smallest(table, name)
    assert sums(picked(table, allocate(table, {name: least}, FIXED)))[name] == least
    with pytest.raises(BudgetError) as caught:
        allocate(table, {name: least - 1}, FIXED)
    message = str(caught.value).replace(",", "")
    asked, possible, kept = (float(n) for n in re.findall(r"\d+", message)[:3])
    assert (asked, possible, kept) == (least - 1, least, FIXED[name])
    heaviest = sorted(table, key=lambda layer: -min(getattr(c, name) for c in table[layer]))
    assert ", ".join(heaviest).replace(",", "") in message


def test_limits_that_only_exclude_each_other():
    thin, light = candidate(Choice("svd", (1,)), 1.0, 1, 90), candidate(Choice("svd", (2,)), 1.0, 90, 1)
    table = {"conv": (candidate(None, 0.0, 99, 99), thin, light)}
    with pytest.raises(BudgetError, match="together"):
        allocate(table, {"params": 50, "macs": 50}, {"params": 0, "macs": 0})


def test_a_network_without_layers_to_factorise():
    assert len(allocate({}, {"params": 20}, FIXED)) == 0
    with pytest.raises(
        BudgetError, match=r"possible is 17, of which 17 lie in parts that are kept .* no layer"
    ):
        allocate({}, {"params": 16}, FIXED)
