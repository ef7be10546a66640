from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tenfold.search.acquisition import front_of, hypervolume, log_expected_gain, log_expected_improvement

REFERENCE = (1.0, 1.0)


def test_expected_improvement_is_the_closed_form():
    mean, spread = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 2.0])
    z = (0.3 - mean) / spread
    expected = spread * (norm.pdf(z) + z * norm.cdf(z))
    np.testing.assert_allclose(np.exp(log_expected_improvement(mean, spread, 0.3)), expected, rtol=1e-12)


def test_expected_improvement_neither_underflows_nor_jumps():
    z = np.linspace(-150, 50, 40_001)
    found = log_expected_improvement(-z, np.ones_like(z), 0.0)
    slope = np.diff(found)
    assert (slope > 0).all()  # the larger the chance, the better
    # The slope itself changes by at most 1 a unit; at -100 an approximation takes over that errs by 15 / z^4.
    assert np.abs(np.diff(slope)).max() < 0.005**2 + 15 / 100**4
    assert np.isfinite(log_expected_improvement(np.array([1e3, -1e3]), np.ones(2), 0.0)).all()
    assert found[-1] == pytest.approx(np.log(50))


def test_hypervolume_is_the_share_of_dominated_points():
    rng = np.random.default_rng(0)
    points, dots = rng.random((6, 2)), rng.random((200_000, 2))
    dominated = (points[None] <= dots[:, None]).all(2).any(1).mean()
    # Three standard deviations of a share of 200,000 dots are at most 3 * 0.5 / 447.
    assert hypervolume(points, REFERENCE) == pytest.approx(dominated, abs=0.0034)
    front = points[front_of(points)]
    assert hypervolume(front, REFERENCE) == pytest.approx(hypervolume(points, REFERENCE), rel=1e-12)


def test_only_what_is_below_the_reference_counts():
    assert hypervolume(np.array([[0.5, 1.5], [1.5, 0.5]]), REFERENCE) == 0
    assert hypervolume(np.empty((0, 2)), REFERENCE) == 0


def test_the_front_has_no_equals_and_no_losers():
    points = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.6], [0.6, 0.4], [0.4, 0.7], [0.9, 0.9]])
    assert front_of(points).tolist() == [3, 0, 4]


def test_the_expected_gain_is_the_mean_of_the_gains():
    rng = np.random.default_rng(1)
    front = rng.random((5, 2))
    before = hypervolume(front, REFERENCE)
    for cost in (0.05, 0.4, 0.8):
        losses = rng.normal(0.5, 0.2, 4000)
        gains = [hypervolume(np.vstack([front, [x, cost]]), REFERENCE) - before for x in losses]
        found = log_expected_gain(np.array([0.5]), np.array([0.2]), np.array([cost]), front, REFERENCE)
        # Four standard errors of the mean of the sample.
        assert np.exp(found[0]) == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / np.sqrt(4000))


def test_a_plan_beyond_the_reference_gains_nothing():
    front = np.array([[0.5, 0.5]])
    beyond = log_expected_gain(np.array([0.1]), np.array([0.1]), np.array([1.2]), front, REFERENCE)
    assert beyond[0] == -np.inf
