r"""Learning-compression: a network is trained until its kernels are chains of chosen schemes and ranks.

    min over w, Theta of  L(w)     subject to     w = Delta(Theta)

by the augmented Lagrangian (Carreira-Perpinan & Idelbayev, arXiv:1707.01209, arXiv:1707.04319). A step is

    L       w      <- argmin L(w) + mu/2 ||w - Delta(Theta) - lambda/mu||^2  (by whoever trains)
    C       Theta  <- argmin ||w - lambda/mu - Delta(Theta)||                (a fit, warm-started)
    lambda  lambda <- lambda - mu (w - Delta(Theta))                         (augmented Lagrangian only)
    mu      mu     <- a mu

Delta(Theta) is the kernel of a chain. Layers that are kept as they are have no constraint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tenfold.algebra.chain import chain_kernel
from tenfold.algebra.metric import plain_metric
from tenfold.compression.fit import Fitted, fit_layer
from tenfold.compression.stored import fits_from_rows, fits_to_rows
from tenfold.core.errors import NonFiniteError
from tenfold.core.plan import Plan
from tenfold.ranks.table import Layer

__all__ = [
    "CStep",
    "Kernels",
    "LStep",
    "LcSettings",
    "LcState",
    "Penalty",
    "begun",
    "compressed",
    "kernel_of",
    "learn_compress",
    "plain",
    "shifted",
]

Kernels = Mapping[str, Tensor]
"""A tensor of the shape of its kernel for each layer."""


@dataclass(frozen=True)
class LcSettings:
    """How the constraint is tightened.

    Attributes:
        steps: L steps at most, at least 0.
        mu: of the first one, above 0.
        growth: a, what mu is multiplied by after each, at least 1.
        multipliers: True for the augmented Lagrangian, False for the quadratic penalty.
        tolerance: feasibility at which no further step is made; 0 makes all.
    """

    steps: int
    mu: float
    growth: float
    multipliers: bool = True
    tolerance: float = 0.0


@dataclass(frozen=True)
class LcState:
    """Where a run stands between two steps.

    Attributes:
        number: steps made.
        mu: of the next L step.
        weights: w by layer, float64.
        fits: Theta of the layers that are constrained.
        multipliers: lambda of the same layers, float64.
        feasibility: ||w - Delta(Theta)|| / ||w|| over all constrained layers together, at least 0.
    """

    number: int
    mu: float
    weights: Kernels
    fits: Mapping[str, Fitted]
    multipliers: Kernels
    feasibility: float

    @property
    def penalty(self) -> Penalty:
        """Of the next L step."""
        centres = {
            name: kernel_of(fitted, self.weights[name]) + self.multipliers[name] / self.mu
            for name, fitted in self.fits.items()
        }
        return Penalty(self.mu, centres)

    def to_rows(self) -> dict[str, Any]:
        """The state as dictionaries and lists of numbers, texts and tensors."""
        return {
            "number": self.number,
            "mu": self.mu,
            "weights": dict(self.weights),
            "fits": fits_to_rows(self.fits),
            "multipliers": dict(self.multipliers),
            "feasibility": self.feasibility,
        }

    @classmethod
    def from_rows(cls, rows: Mapping[str, Any]) -> LcState:
        """What `to_rows` made rows of."""
        return cls(**{**rows, "fits": fits_from_rows(rows["fits"])})


@dataclass(frozen=True)
class Penalty:
    """mu/2 sum over layers of ||w - centre||^2, with centre = Delta(Theta) + lambda/mu.

    Attributes:
        mu: at least 0.
        centres: by layer, each of the shape of its kernel.

    Example:
        >>> penalty = Penalty(2.0, {"conv": torch.zeros(3)})
        >>> penalty({"conv": torch.ones(3)})
        tensor(3.)
    """

    mu: float
    centres: Kernels

    def __call__(self, weights: Kernels) -> Tensor:
        """The penalty of the kernels of all layers that have a centre; others are not looked at."""
        parts = [(weights[name] - centre).square().sum() for name, centre in self.centres.items()]
        return self.mu / 2 * torch.stack(parts).sum() if parts else torch.zeros(())

    def like(self, weights: Kernels) -> Penalty:
        """The same in the dtypes and on the devices of `weights`."""
        return replace(self, centres={name: c.to(weights[name]) for name, c in self.centres.items()})


LStep = Callable[[int, Penalty], Kernels]
"""Trains from where it stands: (number of the step from 1, penalty) -> kernels."""

CStep = Callable[[int, Kernels, Mapping[str, Fitted]], Mapping[str, Fitted]]
"""Fits: (number of the step, w - lambda/mu by layer, Theta so far) -> Theta of the constrained layers."""


def begun(weights: Kernels, c_step: CStep, settings: LcSettings) -> LcState:
    """Direct compression of the kernels as they are: step 0, with multipliers of zero."""
    weights = _kept(weights)
    fits = dict(c_step(0, weights, {}))
    none = {name: torch.zeros_like(weights[name]) for name in fits}
    return LcState(0, settings.mu, weights, fits, none, _feasibility(weights, fits))


def learn_compress(state: LcState, l_step: LStep, c_step: CStep, settings: LcSettings) -> Iterator[LcState]:
    """Step after step from `state`, which `begun` made or an earlier run yielded.

    Nothing but the state goes from one step to the next, so that a run that goes on from one that was kept
    yields the same states, if `l_step` does its part.

    Yields:
        The state after each step. The last one is the first to be feasible to the tolerance, or that after
        `settings.steps` steps in all.

    Raises:
        NonFiniteError: the kernels or the penalty are not finite.
    """
    while state.number < settings.steps and not _done(state, settings):
        number = state.number + 1
        weights = _kept(l_step(number, state.penalty))
        _check(number, state.mu, weights)
        fits = dict(c_step(number, shifted(weights, state), state.fits))
        multipliers = _updated(weights, fits, state) if settings.multipliers else _none(weights, fits)
        state = LcState(
            number, settings.growth * state.mu, weights, fits, multipliers, _feasibility(weights, fits)
        )
        yield state


def shifted(weights: Kernels, state: LcState) -> dict[str, Tensor]:
    """What a C step fits: w - lambda/mu, with the mu of the L step that `state` precedes."""
    return {
        name: w - state.multipliers[name] / state.mu if name in state.multipliers else w
        for name, w in weights.items()
    }


def compressed(
    layers: Mapping[str, Layer],
    targets: Kernels,
    plan: Plan,
    before: Mapping[str, Fitted],
    *,
    sweeps: int = 50,
    seed: int = 0,
) -> dict[str, Fitted]:
    """A C step: the chains of a plan nearest to the targets, from those before where the choice is the same.

    Args:
        layers: by name; their own kernels and metrics are not looked at.
        targets: w - lambda/mu by layer, each of the shape of its kernel.
        plan: layer -> choice; a kept layer has no chain.
        before: the chains so far.
        sweeps: most sweeps of an iterative fit.
        seed: of random starts.

    Raises:
        RankError: a rank does not fit its layer.
    """
    fits = {}
    for name, choice in plan.factorised.items():
        old = before.get(name)
        layer = plain(layers[name], targets[name])
        start = old.weights if old is not None and old.choice == choice else None
        fits[name] = fit_layer(layer, choice, sweeps=sweeps, seed=seed, start=start)
    return fits


def plain(layer: Layer, kernel: Tensor) -> Layer:
    """A layer with another kernel, in the metric of LC, in which every error counts alike."""
    metrics = (plain_metric(layer.spec.group.shape),) * layer.spec.groups
    return replace(layer, weight=kernel.detach().double().cpu().reshape(layer.spec.shape), metrics=metrics)


def kernel_of(fitted: Fitted, like: Tensor) -> Tensor:
    """Delta(Theta): the kernel of a chain, in the shape and dtype of `like`."""
    return chain_kernel(fitted.stages, fitted.weights).reshape(like.shape).to(like)


def _done(state: LcState, settings: LcSettings) -> bool:
    """Whether the constraint is met to the tolerance; direct compression alone does not count as that."""
    return bool(state.number and state.fits) and state.feasibility <= settings.tolerance > 0


def _updated(weights: Kernels, fits: Mapping[str, Fitted], state: LcState) -> dict[str, Tensor]:
    """The new lambda - mu (w - Delta(Theta)); lambda was 0 for a layer that was not constrained before."""
    found = {}
    for name, fitted in fits.items():
        old = state.multipliers.get(name, torch.zeros_like(weights[name]))
        found[name] = old - state.mu * (weights[name] - kernel_of(fitted, weights[name]))
    return found


def _none(weights: Kernels, fits: Mapping[str, Fitted]) -> dict[str, Tensor]:
    """Multipliers of the quadratic penalty."""
    return {name: torch.zeros_like(weights[name]) for name in fits}


def _feasibility(weights: Kernels, fits: Mapping[str, Fitted]) -> float:
    """||w - Delta(Theta)|| / ||w|| over the constrained layers; 0 where there is none, or all are zero."""
    misses = [float((weights[n] - kernel_of(f, weights[n])).square().sum()) for n, f in fits.items()]
    norm = math.sqrt(sum(float(weights[name].square().sum()) for name in fits))
    return math.sqrt(sum(misses)) / norm if norm > 0 else math.sqrt(sum(misses))


def _kept(weights: Kernels) -> dict[str, Tensor]:
    """Copies that whoever trains cannot change."""
    return {
        name: w.detach().double().cpu().clone(memory_format=torch.contiguous_format)
        for name, w in weights.items()
    }


def _check(number: int, mu: float, weights: Kernels) -> None:
    """Refuse what no chain can be fitted to."""
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise NonFiniteError(
                f"LC step {number}: the kernel of {name} is not finite at mu = {mu:.3g}; "
                "let mu begin lower or grow more slowly"
            )
