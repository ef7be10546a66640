from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from search.problem import RANKS, loss, space, whole
from tenfold.core.plan import Choice, Plan
from tenfold.search import propose as propose_module
from tenfold.search.acquisition import hypervolume, log_expected_improvement
from tenfold.search.base import Space
from tenfold.search.propose import Observed, fitted, propose

KINDS = ["corrections", "ranks"]


def tried(searched: Space, count: int, *, front: str | None = None) -> list[Observed]:
    """As a search without storage does it."""
    found: list[Observed] = []
    for number in range(count):
        rng = np.random.default_rng([0, number])
        point = propose(searched, found, rng=rng, taken=[o.plan for o in found], front=front)
        plan = searched.decode(point)
        found.append(Observed(point, plan, loss(plan)))
    return found


@pytest.fixture(scope="module")
def every_plan() -> list[Plan]:
    """All 32,768 of the small network."""
    choices = [*(Choice("svd", (r,)) for r in range(1, RANKS)), None]
    names = list(space().table)
    return [Plan(dict(zip(names, row, strict=True))) for row in product(choices, repeat=len(names))]


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_the_predicted_rises_do_not_know(kind, every_plan):
    searched = space(kind)
    found = tried(searched, 25)
    assert all(searched.fits(o.plan) for o in found)
    assert len({o.plan.to_json() for o in found}) == 25
    losses = sorted(loss(plan) for plan in every_plan if searched.fits(plan))
    start, best = found[0].loss, min(o.loss for o in found)
    assert found[0].plan == searched.plain
    # The best of 25 random plans is among the best 11 % with a chance of 95 %; this is a hundred times rarer.
    assert best <= losses[len(losses) // 1000]
    assert start - best > 0.8 * (start - losses[0])


@pytest.mark.parametrize("kind", KINDS)
def test_its_front_is_near_the_true_one(kind, every_plan):
    searched = space(kind, share=0.9, front=True)
    reference = (1.05 * loss(every_plan[0]), 0.9 * whole()["params"])

    def points(plans):
        return np.array([(loss(p), searched.costs(p)["params"]) for p in plans])

    true = hypervolume(points(every_plan), reference)
    found = points([o.plan for o in tried(searched, 30, front="params")])
    assert hypervolume(found, reference) > 0.95 * true


def test_the_same_state_of_the_generator_gives_the_same_point():
    searched = space()
    known = tried(searched, 6)
    one, same, other = (propose(searched, known, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("known", [0, 8])
def test_what_is_tried_elsewhere_is_not_proposed(known):
    searched = space("ranks")
    observed = tried(searched, known)
    taken = [o.plan for o in observed]
    pending: list[Plan] = []
    for _ in range(5):
        point = propose(
            searched, observed, rng=np.random.default_rng(0), pending=pending, taken=[*taken, *pending]
        )
        pending.append(searched.decode(point))
    assert len({plan.to_json() for plan in [*taken, *pending]}) == known + 5


def test_a_space_that_is_searched_through_gives_what_it_has():
    searched = space("ranks", share=1.0, layers=1)
    found = tried(searched, RANKS + 3)
    assert len({o.plan.to_json() for o in found}) == RANKS


def test_worth_is_the_improvement_on_the_best_mean_and_falls_where_others_are_at_work():
    searched, rng = space(), np.random.default_rng(0)
    known = tried(searched, 12)
    noisy = [*known, *(Observed(o.point, o.plan, o.loss * f) for o in known[:6] for f in (0.7, 1.4))]
    process, sketch = fitted(searched, noisy)
    means, _ = process.predict(sketch.features, sketch.trend)
    assert means.min() > np.log(min(o.loss for o in noisy)) + 0.05  # a lucky value is not the one to beat
    plans = [searched.decode(point) for point in searched.sample(20, rng)]
    new = searched.sketch_plans(plans)
    worth = propose_module._Judge(searched, noisy, [], None).worth(new)
    mean, spread = process.predict(new.features, new.trend)
    np.testing.assert_allclose(worth, log_expected_improvement(mean, spread, means.min()))
    there = int(np.argmax(spread))
    elsewhere = propose_module._Judge(searched, noisy, [plans[there]], None).worth(new)
    assert elsewhere[there] < worth[there] - 0.1
