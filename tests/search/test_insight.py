from __future__ import annotations

import numpy as np
import pytest

from search.problem import loss, space, whole
from tenfold.core.errors import PlanError, UnknownNameError
from tenfold.search.insight import front_trials, importance, posterior_slice
from tenfold.search.tried import Tried, Verdict


def tried(searched, count: int = 40) -> list[Tried]:
    rng = np.random.default_rng(0)
    plans = [searched.decode(point) for point in searched.sample(count, rng)]
    return [
        Tried(n, plan, Verdict.COMPLETE, loss=loss(plan), costs=searched.costs(plan))
        for n, plan in enumerate(plans)
    ]


def test_the_layers_that_matter_most_are_found():
    searched = space("ranks", share=0.95, front=True)
    shares = importance(searched, tried(searched, 80))
    assert list(shares) == list(searched.table)
    assert sum(shares.values()) == pytest.approx(1)
    # Odd layers matter four times as much as their rises say, and four times as much as the even ones.
    odd = [share for k, share in enumerate(shares.values()) if k % 2]
    assert sum(odd) > 0.4


@pytest.mark.parametrize("kind", ["corrections", "ranks"])
def test_a_slice_predicts_the_loss_around_the_best_plan(kind):
    searched, names = space(kind), ("stage0.conv1", "stage1.conv3")
    known = tried(searched)
    found = posterior_slice(searched, known, *names, resolution=5)
    assert found.names == names
    assert found.mean.shape == found.deviation.shape == (5, 5)
    best = searched.encode(min(known, key=lambda t: t.loss).plan)
    places = [[d.name for d in searched.dimensions].index(name) for name in names]
    true = np.empty((5, 5))
    for i, a in enumerate(found.a):
        for j, b in enumerate(found.b):
            point = best.copy()
            point[places] = a, b
            true[i, j] = np.log(loss(searched.decode(point)))
    # Corners where nothing was tried are guessed a little too high or too low, but in the right order.
    assert np.corrcoef(found.mean.ravel(), true.ravel())[0, 1] > 0.9
    assert (found.deviation > 0).all()


def test_what_is_not_there():
    searched = space()
    with pytest.raises(PlanError, match="3 trials are complete"):
        importance(searched, tried(searched, 3))
    with pytest.raises(UnknownNameError, match="conv9"):
        posterior_slice(searched, tried(searched), "stage0.conv0", "conv9")


def test_the_front_is_of_complete_trials_by_cost():
    searched = space("ranks", share=0.95, front=True)
    known = tried(searched)
    pruned = Tried(99, known[0].plan, Verdict.PRUNED, loss=1e-3, costs=known[0].costs)
    front = front_trials([*known, pruned], "params")
    assert pruned not in front
    assert [t.costs["params"] for t in front] == sorted(t.costs["params"] for t in front)
    assert [t.loss for t in front] == sorted((t.loss for t in front), reverse=True)
    for t in known:
        assert any(f.loss <= t.loss and f.costs["params"] <= t.costs["params"] for f in front)
    assert front[-1].costs["params"] <= 0.95 * whole()["params"]
