from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tenfold.core.plan import Choice
from tenfold.ranks.allocate import allocate
from tenfold.ranks.table import Candidate
from tenfold.search.acquisition import front_of, hypervolume, log_expected_improvement
from tenfold.search.gp import fit_process
from tenfold.search.space import make_space


def table() -> dict[str, tuple[Candidate, ...]]:
    """Five layers of six candidates, the rise falling with the parameters."""
    rows = {}
    for layer in range(5):
        cheaper = tuple(
            Candidate(Choice("cp", (r,)), (layer + 1) / r, 10 * r, 10 * r, 40 * r) for r in range(5, 0, -1)
        )
        rows[f"layer{layer}"] = (Candidate(None, 0.0, 100, 100, 400), *cheaper)
    return rows


def test_expected_improvement_is_the_closed_form():
    mean, spread = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 2.0])
    z = (0.3 - mean) / spread
    expected = spread * (norm.pdf(z) + z * norm.cdf(z))
    np.testing.assert_allclose(np.exp(log_expected_improvement(mean, spread, 0.3)), expected, rtol=1e-12)
    assert np.isfinite(log_expected_improvement(np.array(1e3), np.array(1.0), 0.0))


def test_hypervolume_is_the_share_of_dominated_points():
    rng = np.random.default_rng(0)
    points, dots = rng.random((6, 2)), rng.random((200_000, 2))
    dominated = (points[None] <= dots[:, None]).all(2).any(1).mean()
    # Three standard deviations of a share of 200,000 dots are at most 3 * 0.5 / 447.
    assert hypervolume(points, (1.0, 1.0)) == pytest.approx(dominated, abs=0.0034)
    front = points[front_of(points)]
    assert hypervolume(front, (1.0, 1.0)) == pytest.approx(hypervolume(points, (1.0, 1.0)), rel=1e-12)


def test_the_process_learns_a_smooth_function_and_doubts_what_is_far():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (40, 2))
    process = fit_process(x, np.zeros((40, 1)), np.sin(2 * x[:, 0]))
    new = rng.uniform(-1.5, 1.5, (50, 2))
    mean, spread = process.predict(new, np.zeros((50, 1)))
    # Guessing the mean would leave an error of 0.7.
    assert np.sqrt(np.mean((mean - np.sin(2 * new[:, 0])) ** 2)) < 0.2
    _, far = process.predict(np.full((1, 2), 50.0), np.zeros((1, 1)))
    assert far[0] > 2 * spread.mean()
    assert process.importance()[0] > process.importance()[1]


@pytest.mark.parametrize("name", ["corrections", "ranks"])
def test_every_point_of_a_space_meets_the_limits(name):
    limits, fixed = {"params": 180.0}, {"params": 20.0}
    space = make_space(name, table(), limits, fixed)
    rng = np.random.default_rng(0)
    for point in space.sample(20, rng):
        assert space.costs(space.decode(point))["params"] <= 180
    if name == "corrections":
        assert space.decode(np.zeros(len(space.dimensions))) == allocate(table(), limits, fixed)
