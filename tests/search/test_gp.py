from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from tenfold.search import gp
from tenfold.search.gp import fit_process

NONE = np.zeros((40, 0))


def samples(count: int = 40, features: int = 3):
    rng = np.random.default_rng(0)
    x, trend = rng.uniform(-2, 2, (count, features)), rng.normal(size=(count, 1))
    return x, trend, np.sin(2 * x[:, 0]) + 0.5 * trend[:, 0] + 0.05 * rng.normal(size=count)


def standardised(columns: np.ndarray) -> np.ndarray:
    return (columns - columns.mean(0)) / columns.std(0)


def test_predictions_are_those_of_another_implementation():
    x, trend, y = samples()
    process = fit_process(x, trend, y)
    both = np.column_stack([standardised(x), standardised(trend)])
    # Features that must not enter a part get a length scale, or a weight, beyond reach.
    kernel = ConstantKernel(process.variance) * Matern([*process.lengths, 1e9], nu=2.5)
    kernel = kernel + WhiteKernel(process.noise + 1e-8)
    kernel = kernel + ConstantKernel(process.trend_variance) * _trend_only(len(process.lengths))
    other = GaussianProcessRegressor(kernel, optimizer=None).fit(both, standardised(y))
    mean, spread = process.predict(x[:5] + 0.1, trend[:5] - 0.2)
    points = np.column_stack(
        [(x[:5] + 0.1 - x.mean(0)) / x.std(0), (trend[:5] - 0.2 - trend.mean(0)) / trend.std(0)]
    )
    expected, deviation = other.predict(points, return_std=True)
    np.testing.assert_allclose((mean - y.mean()) / y.std(), expected, rtol=1e-6)
    noiseless = np.sqrt(deviation**2 - process.noise - 1e-8)
    np.testing.assert_allclose(spread / y.std(), noiseless, rtol=1e-5)


def _trend_only(features: int):
    """The product of the last column with itself."""

    class Last(DotProduct):
        def __call__(self, X, Y=None, eval_gradient=False):
            return super().__call__(X[:, features:], None if Y is None else Y[:, features:], eval_gradient)

        def diag(self, X):
            return super().diag(X[:, features:])

    return Last(sigma_0=0.0, sigma_0_bounds="fixed")


def test_the_gradient_of_the_evidence_is_its_slope():
    x, trend, y = samples()
    evidence = gp._Evidence(gp._Inputs.of(x, trend), standardised(y))
    at = evidence.start + np.random.default_rng(1).normal(size=len(evidence.start)) / 2
    _, gradient = evidence(at)
    step = 1e-5
    for place in range(len(at)):
        beside = np.zeros_like(at)
        beside[place] = step
        slope = (evidence(at + beside)[0] - evidence(at - beside)[0]) / (2 * step)
        # Central differences err by step^2 times a third derivative of order 10 to 100.
        assert gradient[place] == pytest.approx(slope, abs=1e-5)


def test_it_learns_a_smooth_function_and_doubts_what_is_far():
    x, _, _ = samples(features=2)
    process = fit_process(x, NONE, np.sin(2 * x[:, 0]))
    new = np.random.default_rng(2).uniform(-1.5, 1.5, (50, 2))
    mean, spread = process.predict(new, np.zeros((50, 0)))
    # Guessing the mean would leave an error of 0.7.
    assert np.sqrt(np.mean((mean - np.sin(2 * new[:, 0])) ** 2)) < 0.2
    _, far = process.predict(np.full((1, 2), 50.0), np.zeros((1, 0)))
    assert far[0] > 2 * spread.mean()
    importance = process.importance()
    assert importance[0] > 0.8
    assert importance.sum() == pytest.approx(1)


def test_a_trend_is_followed_to_where_nothing_is_known():
    x, trend, _ = samples()
    process = fit_process(x, trend, 3 * trend[:, 0] + 1)
    mean, _ = process.predict(np.zeros((1, 3)), np.array([[10.0]]))
    assert mean[0] == pytest.approx(31, rel=0.02)


def test_noise_is_learned():
    x, trend, _ = samples(200, 2)
    noise = np.random.default_rng(3).normal(size=200)
    for level in (0.05, 0.5):
        y = np.sin(x[:, 0]) + level * noise
        process = fit_process(x, trend[:, :0], y)
        # The standard error of a variance from 200 values is a tenth of it.
        assert process.noise * y.var() == pytest.approx(level**2, rel=0.3)


def test_units_do_not_matter():
    x, trend, y = samples()
    process, other = fit_process(x, trend, y), fit_process(100 * x - 7, 3 * trend, 50 * y + 2)
    mean, spread = process.predict(x + 0.1, trend)
    moved, wider = other.predict(100 * (x + 0.1) - 7, 3 * trend)
    # The two optimisations take the same steps up to rounding, which they may amplify.
    np.testing.assert_allclose(moved, 50 * mean + 2, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(wider, 50 * spread, rtol=1e-3)


def test_further_values_are_taken_in_as_they_are():
    x, trend, y = samples()
    process = fit_process(x, trend, y)
    point, at = np.array([[3.0, 3.0, 3.0]]), np.zeros((1, 1))
    mean, spread = process.predict(point, at)
    known, surer = process.given(point, at, mean).predict(point, at)
    assert known[0] == pytest.approx(mean[0], abs=1e-6)  # as predicted: no surprise
    assert surer[0] < 0.5 * spread[0]
    away, _ = process.given(point, at, mean + 2 * spread).predict(point, at)
    assert away[0] > mean[0] + spread[0]


def test_equal_values_and_equal_features_are_no_trouble():
    x = np.zeros((4, 2))
    x[:, 0] = np.arange(4)
    mean, spread = fit_process(x, np.zeros((4, 1)), np.full(4, 5.0)).predict(x, np.zeros((4, 1)))
    np.testing.assert_allclose(mean, 5.0, atol=1e-9)
    assert np.isfinite(spread).all()
