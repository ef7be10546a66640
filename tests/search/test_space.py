from __future__ import annotations

import numpy as np
import pytest

from search.problem import FIXED, space, table, whole
from tenfold.core.errors import BudgetError, UnknownNameError
from tenfold.core.plan import Choice, Plan
from tenfold.ranks.allocate import allocate
from tenfold.search.base import Space
from tenfold.search.space import Corrections, Trends, grouped, make_space

KINDS = ["corrections", "trends", "ranks"]


def anywhere(searched: Space, count: int = 60) -> np.ndarray:
    """Points of the whole space, as a sampler that knows nothing of limits draws them."""
    rng = np.random.default_rng(0)
    low, high = (np.array([getattr(d, side) for d in searched.dimensions]) for side in ("low", "high"))
    points = rng.uniform(low, high, (count, len(low)))
    return np.where([d.integer for d in searched.dimensions], np.rint(points), points)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("limits", [("params",), ("params", "macs")])
def test_every_point_is_a_plan_that_meets_every_limit(kind, front, limits):
    budget = {name: 0.5 * whole()[name] for name in limits}
    searched = make_space(kind, table(), budget, FIXED, front=front)
    rng = np.random.default_rng(0)
    sampled = searched.sample(20, rng)
    for points in (anywhere(searched), sampled, searched.mend(searched.vary(sampled, rng), rng)):
        for point in points[:20]:
            plan = searched.decode(point)
            assert list(plan) == list(table())
            assert searched.fits(plan)
            assert all(searched.costs(plan)[name] <= most for name, most in budget.items())
            assert all(d.low <= x <= d.high for d, x in zip(searched.dimensions, point, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_allocation_comes_first_and_survives_the_way_there_and_back(kind):
    for front in (False, True):
        searched = space(kind, front=front)
        plain = allocate(table(), {"params": 0.5 * whole()["params"]}, FIXED)
        assert searched.plain == plain
        assert searched.decode(searched.sample(8, np.random.default_rng(0))[0]) == plain
        assert searched.decode(searched.encode(plain)) == plain


def test_no_correction_is_the_plain_allocation_and_a_correction_moves_it():
    searched = space()
    assert searched.decode(np.zeros(5)) == searched.plain
    for layer in range(5):
        point = np.zeros(5)
        point[layer] = 2.0  # its rises count seven times as much: it keeps more
        more = searched.grid.picked(searched.decode(point))[layer].params
        assert more >= searched.grid.picked(searched.plain)[layer].params
        point[layer] = -2.0
        assert searched.grid.picked(searched.decode(point))[layer].params < more


def test_corrections_are_found_again_up_to_what_the_steps_of_the_ranks_hide():
    searched, rng = space(layers=8), np.random.default_rng(0)
    given = 0.7 * rng.standard_normal((30, 8))
    given -= given.mean(1, keepdims=True)  # a common factor changes nothing
    found = np.stack([searched.encode(searched.decode(point)) for point in given])
    assert np.corrcoef(given.ravel(), found.ravel())[0, 1] > 0.7


def test_ranks_decode_exactly_where_they_fit():
    searched = space("ranks")
    for point in anywhere(searched):
        plan = searched.grid.plan(point.astype(int))
        if searched.fits(plan):
            assert searched.decode(point) == plan
            np.testing.assert_array_equal(searched.encode(plan), point)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sketch_is_what_its_plans_are(kind):
    searched = space(kind, front=True)
    points = searched.sample(30, np.random.default_rng(0))
    plans = [searched.decode(point) for point in points]
    quick, exact = searched.sketch(points), searched.sketch_plans(plans)
    for row, plan in enumerate(plans):
        assert exact.costs[row, 0] == searched.costs(plan)["params"]
        picked = searched.grid.picked(plan)
        np.testing.assert_allclose(exact.features[row] ** 2, [c.rise for c in picked])
    same = (np.abs(quick.features - exact.features) < 1e-12).all(1)
    assert same.all() if kind == "ranks" else same.mean() > 0.8


def test_the_trend_is_the_predicted_rise_until_it_no_longer_shows():
    searched = space("ranks")
    plan = searched.plain
    rises = [c.rise for c in searched.grid.picked(plan)]
    assert searched.sketch_plans([plan]).trend[0, 0] == pytest.approx(np.log(1.01 * sum(rises)))
    kept = searched.sketch_plans([Plan(dict.fromkeys(table()))]).trend[0, 0]
    assert kept == pytest.approx(np.log(0.01 * sum(rises)))


def test_a_share_of_the_budget_spans_all_of_it():
    searched = space(front=True)
    assert searched.dimensions[-1].name == "share of the budget"
    limit, least = 0.5 * whole()["params"], FIXED["params"] + sum(row[-1].params for row in table().values())
    used = [
        searched.costs(searched.decode(np.array([0] * 5 + [share])))["params"]
        for share in np.linspace(0, 1, 9)
    ]
    assert used == sorted(used)
    assert used[0] == least
    # Half the way is half the logarithm; what is left over is less than one rank of the smallest layer.
    assert 0 <= np.sqrt(least * limit) - used[4] < 11
    assert 0 <= limit - used[-1] < 11


def test_deep_networks_have_twenty_groups_of_neighbours():
    names = [f"layer{s}.{b}.conv{c}" for s in (1, 2, 3) for b in range(9) for c in (1, 2)]
    rows = dict.fromkeys(["conv1", *names, "linear"], table(1)["stage0.conv0"])
    searched = Corrections(rows, {"params": 700.0}, {"params": 0.0})
    groups = grouped(list(rows), 20)
    assert [name for group in groups for name in group] == list(rows)
    assert len(groups) == len(searched.dimensions) == 20
    for group in groups:  # nothing is put together across stages
        assert len({name.split(".")[0] for name in group}) == 1
        assert len(group) <= 8
    assert searched.dimensions[0].name == "conv1"
    assert any(d.name.startswith("layer1.0.conv1..layer1.") for d in searched.dimensions)
    point = np.zeros(20)
    place = next(k for k, group in enumerate(groups) if len(group) > 2)
    point[place] = 2.0
    plan = searched.decode(point)
    assert len({plan[name] for name in groups[place]}) <= 2  # equal layers, equally corrected
    assert [len(group) for group in grouped(names, 3)] == [18, 18, 18]


def test_trends_are_independent_patterns_of_mean_0_and_mean_square_1():
    searched = space("trends", layers=8)
    names = [d.name for d in searched.dimensions]
    assert names == ["place", "parameters", "rise"]  # of these layers, MACs a parameter follow parameters
    patterns = searched._corrections(np.eye(3))
    np.testing.assert_allclose(patterns @ patterns.T / 8, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(patterns.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(patterns[0], 2), 0, atol=1e-12)  # the first one is linear


def test_what_earlier_trends_say_already_is_no_trend():
    row = table(1)["stage0.conv0"]
    alike = Trends({f"conv{n}": row for n in range(6)}, {"params": 60.0}, {"params": 0.0})
    assert "parameters" not in [d.name for d in alike.dimensions]
    alone = Trends({"conv": row}, {"params": 20.0}, {"params": 0.0})
    assert [d.name for d in alone.dimensions] == ["place"]
    assert alone.decode(np.array([2.0])) == alone.decode(np.array([-2.0])) == alone.plain


def test_a_trend_moves_parameters_from_one_end_to_the_other():
    searched = space("trends", layers=8)
    used = {}
    for weight in (-1.0, 0.0, 1.0):
        picked = searched.grid.picked(searched.decode(weight * np.eye(3)[0]))
        used[weight] = sum(c.params for c in picked[4:]) - sum(c.params for c in picked[:4])
    assert used[-1.0] < used[0.0] < used[1.0]
    given = 0.7 * np.random.default_rng(0).standard_normal((30, 3))
    found = np.stack([searched.encode(searched.decode(point)) for point in given])
    assert np.corrcoef(given.ravel(), found.ravel())[0, 1] > 0.9


def test_what_gives_points_their_meaning_changes_the_fingerprint():
    prints = {
        space().fingerprint,
        space("ranks").fingerprint,
        space("trends").fingerprint,
        space(share=0.6).fingerprint,
        space(front=True).fingerprint,
        space(layers=6).fingerprint,
    }
    assert len(prints) == 6
    assert space().fingerprint in prints


def test_budgets_that_cannot_be_met_and_names_that_do_not_exist():
    with pytest.raises(BudgetError, match="smallest possible"):
        make_space("ranks", table(), {"params": 30.0}, FIXED)
    with pytest.raises(UnknownNameError, match="correction"):
        make_space("correction", table(), {"params": 150.0}, FIXED)


def test_two_limits_that_cannot_be_met_at_a_share_are_met_as_they_are():
    thin, light = (Choice("svd", (1,)), Choice("svd", (2,)))
    kinds = [(None, 0.0, 90, 90), (thin, 1.0, 10, 80), (light, 1.0, 80, 10)]
    row = tuple(type(table()["stage0.conv0"][0])(c, r, p, m, 4 * p) for c, r, p, m in kinds)
    searched = make_space(
        "corrections",
        {"a": row, "b": row},
        {"params": 95.0, "macs": 95.0},
        {"params": 0.0, "macs": 0.0},
        front=True,
    )
    for share in (0.0, 0.5, 1.0):
        assert searched.fits(searched.decode(np.array([0.0, 0.0, share])))
