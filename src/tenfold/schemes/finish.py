"""What every scheme does last: measure the residual and give back the caller's dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tenfold.algebra.chain import chain_kernel
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import Stage
from tenfold.schemes.base import Fit, Weights

__all__ = ["finish", "relative", "relative_error"]

_EXACT = 1e-12
_PART = 1 << 23  # numbers, 64 MB in float64


def relative(residual: float, weight: Tensor) -> float:
    """A residual's norm by that of the kernel, in float64; as it is for a zero kernel."""
    norm = float(weight.norm(dtype=torch.float64))
    return residual / norm if norm > 0 else residual


def relative_error(weight: Tensor, approximation: Tensor) -> float:
    """||W - W_hat|| / ||W||, Frobenius; 0 for a zero kernel that is met exactly."""
    return relative(float((weight - approximation).norm()), weight)


def finish(
    weight: Tensor,
    stages: Sequence[Stage],
    weights: Weights,
    *,
    sweeps: int = 0,
    outcome: Outcome = Outcome.DIRECT,
) -> Fit:
    """Measure a fit of `weight` made in float64, and cast it to the dtype and device of `weight`."""
    if weight.numel() <= _PART or stages[-1].groups > 1:
        error = relative_error(weight.double(), chain_kernel(stages, weights))
    else:
        error = _error_by_parts(weight, stages, weights)
    cast = tuple(stage.to(weight).contiguous() for stage in weights)
    return Fit(cast, error, sweeps, Outcome.EXACT if error < _EXACT else outcome)


def _error_by_parts(weight: Tensor, stages: Sequence[Stage], weights: Weights) -> float:
    """The relative error, some outputs at a time: all of W_hat would take as much memory as W."""
    rows = max(_PART // weight[0].numel(), 1)
    residuals = []
    for wanted, last in zip(weight.split(rows), weights[-1].split(rows), strict=True):
        part = (*stages[:-1], replace(stages[-1], out=len(last)))
        found = chain_kernel(part, (*weights[:-1], last))
        residuals.append(float((wanted.double() - found).norm()))
    return relative(math.hypot(*residuals), weight)
