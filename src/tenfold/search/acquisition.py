"""What a plan is worth trying, given a Gaussian prediction of its loss and its exact cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

__all__ = ["front_of", "hypervolume", "log_expected_gain", "log_expected_improvement"]

Array = NDArray[np.float64]

_FAR = -100.0  # below, the sum cancels, and phi(z) / z^2 (1 - 3 / z^2) is exact to 15 / z^4
_NEAR = 9.0  # above, the sum is z to rounding


def log_expected_improvement(mean: Array, spread: Array, best: Array | float) -> Array:
    r"""Logarithm of E[max(best - value, 0)] for a Gaussian value.

        log sigma + log(phi(z) + z Phi(z)),     z = (best - mean) / sigma

    without underflow, so that the best of hopeless candidates is known too (Ament et al., NeurIPS 2023).

    Args:
        mean: any shape.
        spread: standard deviations above 0, of a shape that broadcasts with `mean`.
        best: what is to be improved on, of a shape that broadcasts too.

    Example:
        >>> float(np.exp(log_expected_improvement(np.array(0.0), np.array(1.0), 0.0)).round(4))
        0.3989
    """
    z = (best - mean) / spread
    return np.asarray(np.log(spread) + _log_loss_function(z))


def log_expected_gain(
    mean: Array, spread: Array, cost: Array, front: Array, reference: tuple[float, float]
) -> Array:
    r"""Logarithm of the expected gain of hypervolume, both coordinates to be small.

    The cost is exact, so that only the loss is random. Above costs between one point of the front and
    the next, the gain is the improvement on the loss of the first of the two:

        E[gain] = sum over intervals [c_i, c_i+1] of  |[c_i, c_i+1] above cost|  E[max(loss_i - loss, 0)]

    Args:
        mean: of the loss, (m,).
        spread: its standard deviations, (m,).
        cost: (m,).
        front: points (loss, cost) to improve on, (n, 2); dominated ones do no harm.
        reference: (loss, cost) beyond which nothing counts.
    """
    loss, edges = _stairs(front, reference)
    width = np.clip(edges[1:] - np.maximum(edges[:-1], cost[:, None]), 0.0, None)  # (m, intervals)
    parts = log_expected_improvement(mean[:, None], spread[:, None], loss)
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp.reduce(np.log(width) + parts, axis=1))


def front_of(points: Array) -> NDArray[np.int64]:
    """Numbers of the points (loss, cost) that no other one equals or beats in both, by rising cost."""
    best, found = np.inf, []
    for place in np.lexsort((points[:, 0], points[:, 1])):
        if points[place, 0] < best:
            best = points[place, 0]
            found.append(int(place))
    return np.array(found, dtype=np.int64)


def hypervolume(points: Array, reference: tuple[float, float]) -> float:
    """Area that points (loss, cost) dominate below a reference.

    Example:
        >>> round(hypervolume(np.array([[0.5, 0.5], [0.2, 0.9]]), (1.0, 1.0)), 12)
        0.28
    """
    loss, edges = _stairs(points, reference)
    return float(((reference[0] - loss[1:]) * np.diff(edges[1:])).sum())


def _stairs(points: Array, reference: tuple[float, float]) -> tuple[Array, Array]:
    """Least loss that is had at each cost: constant between edges, one edge more than losses."""
    points = points[(points < np.array(reference)).all(1)]
    front = points[front_of(points)]
    loss = np.concatenate([[reference[0]], front[:, 0]])
    return loss, np.concatenate([[-np.inf], front[:, 1], [reference[1]]])


def _log_loss_function(z: Array) -> Array:
    """log(phi(z) + z Phi(z))."""
    z = np.asarray(z, dtype=float)
    # Phi(z) / phi(z), where it neither overflows nor cancels against 1 / z
    mills = np.sqrt(np.pi / 2) * erfcx(-np.clip(z, _FAR, _NEAR) / np.sqrt(2))
    beyond = np.minimum(z, _FAR)
    far = np.log1p(-3 / beyond**2) - 2 * np.log(-beyond)
    below = np.where(z < _FAR, far, np.log1p(np.clip(z, _FAR, _NEAR) * mills))
    small = -0.5 * z * z - 0.5 * np.log(2 * np.pi) + below
    return np.where(z > _NEAR, np.log(np.maximum(z, 1.0)), small)
