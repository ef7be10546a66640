"""What every scheme does last: measure the residual and give back the caller's dtype."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tenfold.algebra.chain import chain_kernel
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import Stage
from tenfold.schemes.base import Fit, Weights

__all__ = ["finish", "relative_error"]

_EXACT = 1e-12


def relative_error(weight: Tensor, approximation: Tensor) -> float:
    """||W - W_hat|| / ||W||, Frobenius; 0 for a zero kernel that is met exactly."""
    residual = float((weight - approximation).norm())
    norm = float(weight.norm())
    return residual / norm if norm > 0 else residual


def finish(
    weight: Tensor,
    stages: Sequence[Stage],
    weights: Weights,
    *,
    sweeps: int = 0,
    outcome: Outcome = Outcome.DIRECT,
) -> Fit:
    """Measure a fit of `weight` made in float64, and cast it to the dtype and device of `weight`."""
    error = relative_error(weight.double(), chain_kernel(stages, weights))
    cast = tuple(stage.to(weight).contiguous() for stage in weights)
    return Fit(cast, error, sweeps, Outcome.EXACT if error < _EXACT else outcome)
