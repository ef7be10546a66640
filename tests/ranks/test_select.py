from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tenfold.algebra.metric import plain_metric
from tenfold.core.errors import BudgetError, NonFiniteError, PlanError, UnknownNameError
from tenfold.core.plan import Choice, Plan
from tenfold.core.shapes import ConvSpec, dense_params, params
from tenfold.ranks.allocate import allocate, check_feasible, totals
from tenfold.ranks.evbmf import evbmf_of_kernel, weakened
from tenfold.ranks.select import (
    SELECTORS,
    energy,
    evbmf_plan,
    get_selector,
    random_plan,
    uniform,
)
from tenfold.ranks.table import Candidate, Layer, Table, build_table
from tenfold.schemes.registry import get_scheme

FIXED = {"params": 100.0, "macs": 7000.0, "size_bytes": 400.0}
LAWS = settings(max_examples=20, deadline=None, derandomize=True, database=None)
RULES = sorted(SELECTORS)
RISING = [rule for rule in RULES if rule != "allocation"]  # its own law stands in test_allocate


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planted(n_out: int, n_in: int, rank: int, *, seed: int, noise: float = 0.05) -> Tensor:
    """A kernel of Tucker ranks (rank, rank), entries of variance 1, and noise."""
    core = normal(rank, rank, 3, 3, seed=seed)
    ends = normal(n_out, rank, seed=seed + 1) / rank**0.5, normal(n_in, rank, seed=seed + 2) / rank**0.5
    kernel = torch.einsum("pqhw,op,iq->oihw", core, *ends)
    return kernel + noise * normal(n_out, n_in, 3, 3, seed=seed + 3)


def layer(name: str, weight: Tensor, *, groups: int = 1, bias: bool = False, size: int = 8) -> Layer:
    n_out, n_in, kh, kw = weight.shape
    spec = ConvSpec(n_out, n_in * groups, (kh, kw), padding="same", groups=groups, bias=bias)
    return Layer(name, spec, ((size, size),), weight, (plain_metric(spec.group.shape),) * groups)


LAYERS = (
    layer("wide", planted(16, 12, 3, seed=1), size=16),
    layer("noise", normal(16, 16, 3, 3, seed=2), bias=True),
    layer("grouped", planted(12, 6, 2, seed=3), groups=2),
    layer("pointwise", (normal(20, 3, seed=4) @ normal(3, 24, seed=5))[:, :, None, None]),
)


@pytest.fixture(scope="module")
def table() -> Table:
    """All that Tucker and the SVD make of four layers."""
    return build_table(LAYERS, "tucker")


def solve(rule: str, table: Table, limits: dict[str, float], *, seed: int = 0) -> Plan:
    return SELECTORS[rule](table, limits, FIXED, layers=LAYERS, seed=seed)


def picked(table: Table, plan: Plan) -> dict[str, Candidate]:
    """The candidates that a plan names, in the order of the table."""
    assert list(plan) == list(table)
    return {name: next(c for c in row if c.choice == plan[name]) for name, row in table.items()}


def rises(table: Table, plan: Plan) -> list[float]:
    return [candidate.rise for candidate in picked(table, plan).values()]


def bounds(table: Table, cost: str) -> tuple[float, float]:
    """What the smallest plan costs, and what keeping every layer does."""
    least = sum(min(getattr(c, cost) for c in row) for row in table.values())
    return FIXED[cost] + least, FIXED[cost] + sum(getattr(row[0], cost) for row in table.values())


@pytest.mark.parametrize("rule", RULES)
@LAWS
@given(share=st.floats(0, 1), cost=st.sampled_from(["params", "macs", "size_bytes"]))
def test_every_rule_meets_a_limit_exactly(table, rule, share, cost):
    least, most = bounds(table, cost)
    limits = {cost: least + share * (most - least)}
    plan = solve(rule, table, limits)
    picked(table, plan)
    assert totals(table, plan, FIXED)[cost] <= limits[cost]
    assert solve(rule, table, limits) == plan


@pytest.mark.parametrize("cost", ["params", "macs"])
@pytest.mark.parametrize("rule", RULES)
def test_the_smallest_possible_is_possible_and_less_is_refused_by_the_same_words(table, rule, cost):
    least, _ = bounds(table, cost)
    assert totals(table, solve(rule, table, {cost: least}), FIXED)[cost] == least
    with pytest.raises(BudgetError) as expected:
        check_feasible(table, {cost: least - 1}, FIXED)
    with pytest.raises(BudgetError, match="the smallest possible is") as caught:
        solve(rule, table, {cost: least - 1})
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("rule", RULES)
def test_room_for_all_loses_nothing(table, rule):
    # "pointwise" has rank 3: a chain whose error is lost in rounding, as on some processors, does as well
    for cost in ("params", "macs"):
        plan = solve(rule, table, {cost: bounds(table, cost)[1]})
        assert not any(rises(table, plan))
        assert set(plan.factorised) <= {"pointwise"}


@pytest.mark.parametrize("rule", RISING)
@pytest.mark.parametrize("cost", ["params", "macs"])
def test_a_larger_budget_never_gives_a_layer_less(table, rule, cost):
    least, most = bounds(table, cost)
    plans = [solve(rule, table, {cost: least + n / 30 * (most - least)}) for n in range(31)]
    for before, after in pairwise(rises(table, plan) for plan in plans):
        assert all(new <= old for old, new in zip(before, after, strict=True))
    # Not the same plan everywhere: the budget is used.
    assert len({plan.to_json() for plan in plans}) > 10


@pytest.mark.parametrize("rule", RULES)
def test_several_limits_hold_together(table, rule):
    (least_params, most_params), (least_macs, most_macs) = bounds(table, "params"), bounds(table, "macs")
    for a, b in ((0.1, 0.6), (0.6, 0.1), (0.3, 0.3)):
        limits = {
            "params": least_params + a * (most_params - least_params),
            "macs": least_macs + b * (most_macs - least_macs),
        }
        plan = solve(rule, table, limits)
        shipped = totals(table, plan, FIXED)
        assert all(shipped[cost] <= limit for cost, limit in limits.items())


def test_the_share_of_a_candidate_is_the_largest_of_its_limited_costs():
    # "lean" ships little and computes much, "quick" the other way round, "even" half of both.
    lean, quick, even = (
        Candidate(Choice("tucker", (rank, rank)), rise, numbers, work, 4 * numbers)
        for rank, rise, numbers, work in ((1, 1.0, 10, 90), (2, 2.0, 90, 10), (3, 3.0, 50, 50))
    )
    table = {"conv": (Candidate(None, 0.0, 100, 100, 400), lean, quick, even)}
    nothing = {"params": 0.0, "macs": 0.0}
    assert uniform(table, {"params": 80.0}, nothing)["conv"] == lean.choice
    assert uniform(table, {"macs": 80.0}, nothing)["conv"] == quick.choice
    assert uniform(table, {"params": 80.0, "macs": 80.0}, nothing)["conv"] == even.choice
    # Two such layers, one of each limit: a share of 0.9 would take "lean" twice.
    pair = {"a": table["conv"], "b": (table["conv"][0], even)}
    assert uniform(pair, {"params": 60.0, "macs": 140.0}, nothing) == Plan(
        {"a": lean.choice, "b": even.choice}
    )
    assert uniform(pair, {"params": 100.0, "macs": 139.0}, nothing) == Plan(
        {"a": even.choice, "b": even.choice}
    )


def test_limits_that_no_level_meets_together_are_refused_not_missed():
    # Each layer is small in one of the two costs; only one of each meets both.
    row = (
        Candidate(None, 0.0, 100, 100, 400),
        Candidate(Choice("tucker", (1, 1)), 1.0, 10, 40, 40),
        Candidate(Choice("tucker", (2, 2)), 1.0, 60, 10, 240),
    )
    table = {"a": row, "b": row}
    limits, fixed = {"params": 75.0, "macs": 55.0}, {"params": 0.0, "macs": 0.0}
    assert len(allocate(table, limits, fixed).factorised) == 2
    with pytest.raises(BudgetError, match="uniform ranks meet params <= 75, macs <= 55 at no level"):
        uniform(table, limits, fixed)


@pytest.mark.parametrize("rule", RULES)
def test_a_network_without_layers_to_factorise(rule):
    assert len(SELECTORS[rule]({}, {"params": 100.0}, FIXED, layers=(), seed=0)) == 0
    with pytest.raises(BudgetError):
        SELECTORS[rule]({}, {"params": 99.0}, FIXED, layers=(), seed=0)


@LAWS
@given(share=st.floats(0.02, 0.98), cost=st.sampled_from(["params", "macs"]))
def test_uniform_is_the_largest_share_that_fits(table, share, cost):
    least, most = bounds(table, cost)
    limits = {cost: least + share * (most - least)}

    def at(fraction: float) -> Plan:
        """Written again: the least rise within the fraction, else the smallest."""
        plan = {}
        for name, row in table.items():
            within = [c for c in row if getattr(c, cost) / getattr(row[0], cost) <= fraction]
            smallest = min(row, key=lambda c: getattr(c, cost))
            plan[name] = min(within or [smallest], key=lambda c: (c.rise, getattr(c, cost))).choice
        return Plan(plan)

    fractions = {getattr(c, cost) / getattr(row[0], cost) for row in table.values() for c in row}
    fitting = [f for f in sorted(fractions) if totals(table, at(f), FIXED)[cost] <= limits[cost]]
    assert uniform(table, limits, FIXED) == at(max(fitting, default=0.0))


def test_energy_takes_the_smallest_below_one_threshold():
    # Half the energy of a layer is 1/2 ||W||^2: 8 of 16 ones, 32 of 16 twos.
    layers = [
        layer("small", torch.ones(4, 4, 1, 1).double()),
        layer("large", 2 * torch.ones(4, 4, 1, 1).double()),
    ]

    def row(scale: float, relative: dict[int, float]) -> tuple[Candidate, ...]:
        made = [
            Candidate(Choice("svd", (rank,)), scale * lost, 10 * rank, rank, 40 * rank)
            for rank, lost in relative.items()
        ]
        return (Candidate(None, 0.0, 100, 10, 400), *made)

    table = {
        "small": row(8.0, {1: 0.5, 2: 0.3, 3: 0.2, 4: 0.1}),
        "large": row(32.0, {1: 0.9, 2: 0.4, 3: 0.25, 4: 0.05}),
    }
    ranks = {}
    for limit in range(20, 90, 10):
        plan = energy(table, {"params": limit}, {"params": 0.0}, layers)
        ranks[limit] = tuple(plan[name].rank[0] for name in table)
    # At 0.3 lost small needs 2 and large 3, at 0.25 both need 3, at 0.2 large needs 4.
    assert ranks == {20: (1, 1), 30: (1, 2), 40: (2, 2), 50: (2, 3), 60: (3, 3), 70: (3, 4), 80: (4, 4)}


def test_energy_is_relative_to_each_layer_and_the_allocation_is_not(table):
    limits = {"params": 0.3 * bounds(table, "params")[1]}
    louder = {**table, "noise": tuple(scaled(c, 100.0) for c in table["noise"])}
    layers = [scaled_layer(one, 10.0) if one.name == "noise" else one for one in LAYERS]
    assert energy(louder, limits, FIXED, layers) == energy(table, limits, FIXED, LAYERS)
    assert allocate(louder, limits, FIXED) != allocate(table, limits, FIXED)


def scaled(candidate: Candidate, factor: float) -> Candidate:
    """The candidate of a layer whose rises are `factor` times as large."""
    costs = candidate.params, candidate.macs, candidate.size_bytes
    return Candidate(candidate.choice, factor * candidate.rise, *costs)


def scaled_layer(one: Layer, factor: float) -> Layer:
    return Layer(one.name, one.spec, one.sizes, factor * one.weight, one.metrics)


def tucker_table(layers: tuple[Layer, ...]) -> Table:
    """The Tucker-2 of every equal pair of ranks."""
    return {one.name: tucker_row(one, [(rank, rank) for rank in range(1, 16)]) for one in layers}


def test_evbmf_gives_each_layer_what_its_weakened_ranks_ask_for():
    layers = (layer("planted", planted(16, 16, 4, seed=7)), layer("noise", normal(16, 16, 3, 3, seed=8)))
    table = tucker_table(layers)
    bayes = {one.name: evbmf_of_kernel(one.weight)[0].rank for one in layers}
    assert bayes == {"planted": 4, "noise": 0}
    for weakening in (0.0, 0.25, 0.5):
        ranks = {name: weakened(rank, 16, weakening) for name, rank in bayes.items()}
        wanted = Plan({name: Choice("tucker", (rank, rank)) for name, rank in ranks.items()})
        limits = {"params": totals(table, wanted, {"params": 0.0})["params"]}
        assert evbmf_plan(table, limits, {"params": 0.0}, layers) == wanted
    # Below its own ranks all move towards 1; the noise is there already.
    limits = {"params": sum(table[name][rank].params for name, rank in (("planted", 2), ("noise", 1)))}
    found = evbmf_plan(table, limits, {"params": 0.0}, layers)
    assert found == Plan({"planted": Choice("tucker", (2, 2)), "noise": Choice("tucker", (1, 1))})


def test_evbmf_tells_output_from_input_channels():
    # Both ask for the same number: (2, 5) of 24 x 12 is (5, 2) of 12 x 24.
    tall = planted_unequal(24, 12, 2, 5, seed=10)
    layers = (layer("tall", tall), layer("broad", tall.transpose(0, 1).contiguous()))
    ranks = {"tall": [(1, 1), (2, 2), (2, 5), (5, 5)], "broad": [(1, 1), (2, 2), (5, 2), (5, 5)]}
    table = {one.name: tucker_row(one, ranks[one.name]) for one in layers}
    limits = {"params": sum(row[3].params for row in table.values())}
    plan = evbmf_plan(table, limits, {"params": 0.0}, layers)
    assert plan == Plan({"tall": Choice("tucker", (2, 5)), "broad": Choice("tucker", (5, 2))})


def test_evbmf_where_a_full_rank_asks_for_less_than_the_rank_below():
    # Weakened from 0.75 on to (10, 15) the ranks ask for 1710, from 0.83 on to (10, 16) for 1560, as the
    # input stage is dropped, and from 0.85 on to (11, 16) for 1716: none of 1,600 is granted before that.
    bent = layer("bent", planted_unequal(12, 16, 2, 13, seed=11))
    assert [found.rank for found in evbmf_of_kernel(bent.weight)] == [2, 13]
    layers = (bent, layer("noise", normal(16, 16, 3, 3, seed=8)))
    within, beyond = (
        Candidate(Choice("tucker", (rank, 1)), 1 / rank, numbers, 100, 4 * numbers)
        for rank, numbers in ((2, 1560), (3, 1600))
    )
    noise = tucker_table(layers)["noise"]
    table = {"bent": (*tucker_row(bent, []), within, beyond), "noise": noise}
    rank = weakened(0, 16, 0.8)
    limits = {"params": 1560.0 + noise[rank].params}
    plan = evbmf_plan(table, limits, {"params": 0.0}, layers)
    assert plan == Plan({"bent": within.choice, "noise": Choice("tucker", (rank, rank))})


def test_evbmf_weakens_a_pointwise_layer_towards_its_smaller_side():
    matrix = normal(40, 3, seed=12) @ normal(3, 60, seed=13) + 0.05 * normal(40, 60, seed=14)
    layers = (layer("pointwise", matrix[:, :, None, None]), layer("noise", normal(16, 16, 3, 3, seed=8)))
    kept = Candidate(None, 0.0, 2400, 100, 9600)
    made = [Candidate(Choice("svd", (r,)), 1 / r, 100 * r, 100, 400 * r) for r in range(1, 24)]
    noise = tucker_table(layers)["noise"]
    table = {"pointwise": (kept, *made), "noise": noise}
    ranks = weakened(3, 40, 0.25), weakened(0, 16, 0.25)
    limits = {"params": 100.0 * ranks[0] + noise[ranks[1]].params}
    plan = evbmf_plan(table, limits, {"params": 0.0}, layers)
    assert (plan["pointwise"].rank, plan["noise"].rank) == ((ranks[0],), (ranks[1], ranks[1]))


def planted_unequal(n_out: int, n_in: int, p: int, q: int, *, seed: int) -> Tensor:
    """A kernel of Tucker ranks (p, q) and little noise."""
    core = normal(p, q, 3, 3, seed=seed)
    signal = torch.einsum(
        "pqhw,op,iq->oihw", core, normal(n_out, p, seed=seed + 1), normal(n_in, q, seed=seed + 2)
    )
    return signal + 0.02 * normal(n_out, n_in, 3, 3, seed=seed + 3)


def tucker_row(one: Layer, ranks: list[tuple[int, int]]) -> tuple[Candidate, ...]:
    """The kept layer and the Tucker-2 of given ranks, each with a smaller rise than the one before."""
    kept = dense_params(one.spec)
    row = [Candidate(None, 0.0, kept, 100, 4 * kept)]
    for place, rank in enumerate(ranks, start=1):
        numbers = params(get_scheme("tucker").layout(one.spec, rank), bias=one.spec.bias)
        row.append(Candidate(Choice("tucker", rank), 1 / place, numbers, 100, 4 * numbers))
    return tuple(row)


def test_evbmf_asks_an_svd_for_pointwise_layers_and_the_larger_rank_of_groups(table):
    # At no weakening: Tucker (3, 3) and (1, 1), (2, 2) in each of two groups, and an SVD of rank 3.
    group = ConvSpec(6, 6, (3, 3))
    asked = {
        "wide": 16 * 3 + 9 * 9 + 3 * 12,
        "noise": 16 + 9 + 16 + 16,
        "grouped": 2 * params(get_scheme("tucker").layout(group, (2, 2)), bias=False),
        "pointwise": 3 * (20 + 24),
    }
    limit = FIXED["params"] + sum(asked.values())
    taken = picked(table, evbmf_plan(table, {"params": limit}, FIXED, LAYERS))
    assert all(taken[name].params <= most for name, most in asked.items())
    assert taken["wide"].choice == Choice("tucker", (3, 3))
    assert taken["noise"].choice == Choice("tucker", (1, 1))
    largest = max(c.params for c in table["pointwise"] if c.params <= asked["pointwise"])
    assert taken["pointwise"].params == largest
    uneven = LAYERS[2].weight.clone()
    uneven[:6] = normal(6, 6, 3, 3, seed=9)  # one group is noise: the other's rank is still granted
    layers = (*LAYERS[:2], layer("grouped", uneven, groups=2), LAYERS[3])
    assert evbmf_plan(table, {"params": limit}, FIXED, layers)["grouped"] == taken["grouped"].choice


@pytest.mark.parametrize("rule", ["energy", "evbmf"])
def test_a_kernel_that_is_not_given_is_named(table, rule):
    with pytest.raises(PlanError, match=r"'pointwise' whose kernel is not given"):
        SELECTORS[rule](table, {"params": 2000.0}, FIXED, layers=LAYERS[:3])


def test_evbmf_of_a_broken_kernel():
    broken = layer("broken", torch.full((16, 16, 3, 3), float("nan")).double())
    with pytest.raises(NonFiniteError):
        evbmf_plan(tucker_table((broken,)), {"params": 900.0}, {"params": 0.0}, (broken,))


def test_random_plans_differ_by_seed_and_spend_the_budget(table):
    least, most = bounds(table, "params")
    limits = {"params": least + 0.4 * (most - least)}
    plans = [random_plan(table, limits, FIXED, seed=seed) for seed in range(40)]
    assert len({plan.to_json() for plan in plans}) > 30
    for name in table:
        assert len({plan[name] for plan in plans}) >= 4
    spent = [totals(table, plan, FIXED)["params"] / limits["params"] for plan in plans]
    # What is left is less than a layer's next step; the smallest plan would spend 0.15.
    assert sum(spent) / len(spent) > 0.85
    assert SELECTORS["random"](table, limits, FIXED, seed=7) == plans[7]


def test_rules_by_name(table):
    limits = {"params": 0.4 * bounds(table, "params")[1]}
    assert get_selector("allocation")(table, limits, FIXED) == allocate(table, limits, FIXED)
    with pytest.raises(UnknownNameError, match="no rank selector 'evbfm'; the nearest is evbmf"):
        get_selector("evbfm")
