"""The chains of a plan: fitted in the layer's metric, brought back, balanced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import joblib
import torch
from torch import Tensor

from tenfold.algebra.chain import chain_kernel
from tenfold.algebra.metric import Metric
from tenfold.core.errors import PlanError, RankError, nearest
from tenfold.core.plan import Choice, Plan
from tenfold.core.shapes import Stage, repeat_groups
from tenfold.ranks.table import Layer
from tenfold.schemes.base import Scheme, Weights
from tenfold.schemes.finish import relative
from tenfold.schemes.registry import get_scheme

__all__ = ["Fitted", "balance", "fit_layer", "fit_plan"]


@dataclass(frozen=True)
class Fitted:
    """The chain of one layer.

    Attributes:
        choice: scheme and rank.
        stages: shapes, over all groups.
        weights: one a stage, float64, on the CPU.
        error: ||W - W_hat|| / ||W||, Frobenius, of the kernel as it ships; at least 0.
        rise: predicted rise of the squared logit error; at least 0.
        outcome: how the fit ended, as a sentence (of the last group).
    """

    choice: Choice
    stages: tuple[Stage, ...]
    weights: Weights
    error: float
    rise: float
    outcome: str


def fit_plan(
    layers: Sequence[Layer],
    plan: Plan,
    *,
    sweeps: int = 200,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Fitted]:
    """Fit every layer that a plan factorises.

    Args:
        layers: all that can be factorised.
        plan: may name any of them, and keep any.
        sweeps: most sweeps of an iterative fit.
        seed: of random starts.
        workers: processes to fit in, at least 1.
        progress: called with (layers done, layers in all).

    Raises:
        PlanError: the plan factorises a layer that is not in `layers`.
        RankError: a rank does not fit its layer; names the layer.
    """
    known = {layer.name: layer for layer in layers}
    for name in plan.factorised:
        if name not in known:
            raise PlanError(f"plan: {name!r} is no layer that can be factorised; {nearest(name, known)}")
    chosen = [(known[name], choice) for name, choice in plan.factorised.items()]
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    calls = (joblib.delayed(fit_layer)(layer, choice, sweeps=sweeps, seed=seed) for layer, choice in chosen)
    fits = {}
    for (layer, _), fitted in zip(chosen, parallel(calls), strict=True):
        fits[layer.name] = fitted
        if progress:
            progress(len(fits), len(chosen))
    return fits


def fit_layer(
    layer: Layer, choice: Choice, *, sweeps: int = 200, seed: int = 0, start: Weights | None = None
) -> Fitted:
    """Fit one layer, group by group.

    Args:
        layer: kernel and metric.
        choice: scheme and rank.
        sweeps: most sweeps of an iterative fit.
        seed: of random starts.
        start: weights of a chain of this choice that the fit begins with and is never worse than; for a layer
            in the plain metric, whose coordinates are those of the chain.

    Raises:
        UnknownNameError: no such scheme.
        RankError: the rank does not fit; names the layer.
        PlanError: the chain of a linear layer would have blocks; names the layer.
    """
    scheme = get_scheme(choice.scheme)
    stages = _checked_stages(layer, scheme, choice)
    starts = _by_group(start, layer.spec.groups)
    weights, outcome = _fit_groups(layer, choice, stages, starts, sweeps=sweeps, seed=seed)
    return _measured(layer, choice, repeat_groups(stages, layer.spec.groups), weights, outcome)


def _fit_groups(
    layer: Layer,
    choice: Choice,
    stages: tuple[Stage, ...],
    starts: Sequence[Weights | None],
    *,
    sweeps: int,
    seed: int,
) -> tuple[Weights, str]:
    """The weights of the whole chain, and how the last fit ended."""
    scheme, groups, outcome = get_scheme(choice.scheme), [], ""
    for group, start in enumerate(starts):
        whitened = layer.whitened(group, separable=scheme.separable)
        found = scheme.fit(whitened, choice.rank, start=start, sweeps=sweeps, seed=seed)
        groups.append(balance(stages, _unwhiten(scheme, layer.metrics[group], found.weights)))
        outcome = found.outcome.value
    return tuple(torch.cat(parts) for parts in zip(*groups, strict=True)), outcome


def _by_group(start: Weights | None, groups: int) -> Sequence[Weights | None]:
    """The part of a chain's weights that belongs to each group of its layer."""
    if start is None:
        return [None] * groups
    return list(zip(*(weight.chunk(groups) for weight in start), strict=True))


def _checked_stages(layer: Layer, scheme: Scheme, choice: Choice) -> tuple[Stage, ...]:
    """The stages for one group of a layer, if the choice fits it."""
    spec, rank = layer.spec.group, choice.rank
    asked = f"{layer.name}: {choice.scheme} rank {rank}"
    if len(rank) != len(scheme.rank_names) or min(rank) < 1:
        raise RankError(f"{asked}: give {', '.join(scheme.rank_names)}, each at least 1")
    largest = scheme.clip(spec, rank)
    if largest != rank:
        raise RankError(
            f"{asked} does not fit a kernel of shape {spec.shape}; the largest that does is {largest}"
        )
    stages = scheme.layout(spec, rank)
    if spec.linear and any(stage.groups > 1 for stage in stages):
        raise PlanError(f"{asked} would need groups, which a linear layer cannot have; use svd")
    return stages


def balance(stages: Sequence[Stage], weights: Weights) -> Weights:
    """Spread the norm of every block evenly over its stages; the kernel stays the same.

    Training wants it: with one stage large and another small, no learning rate suits both.

    Args:
        stages: of an ungrouped layer: at most one of them has groups, the blocks.
        weights: one a stage.
    """
    blocks = max(stage.groups for stage in stages)
    norms = [
        _block_norms(weight, blocks, by_input=n > 0 and n == len(weights) - 1)
        for n, weight in enumerate(weights)
    ]
    target = reduce(torch.mul, norms).pow(1 / len(norms))
    balanced = []
    for n, (weight, norm) in enumerate(zip(weights, norms, strict=True)):
        # A block with a zero stage stays as it is: were all its stages zero, no gradient would reach any.
        factor = torch.where(target > 0, target / norm, torch.ones_like(norm))
        along_input = n > 0 and n == len(weights) - 1
        size = weight.shape[1 if along_input else 0] // blocks
        spread = factor.repeat_interleave(size)
        balanced.append(
            weight * (spread[None, :, None, None] if along_input else spread[:, None, None, None])
        )
    return tuple(balanced)


def _block_norms(weight: Tensor, blocks: int, *, by_input: bool) -> Tensor:
    """Frobenius norm of each block's part of a stage: rows of it, or columns in the last one."""
    rows = weight.transpose(0, 1) if by_input else weight
    norms: Tensor = rows.reshape(blocks, -1).norm(dim=1)
    return norms


def _unwhiten(scheme: Scheme, metric: Metric, weights: Weights) -> Weights:
    """Bring a chain fitted in whitened coordinates back."""
    last = len(weights) - 1
    return tuple(
        metric.unwhiten_stage(weight, first=n == 0, last=n == last, separable=scheme.separable)
        for n, weight in enumerate(weights)
    )


def _measured(
    layer: Layer, choice: Choice, stages: tuple[Stage, ...], weights: Weights, outcome: str
) -> Fitted:
    """Both errors, on the kernel as it ships."""
    change = layer.weight.to(torch.float64, copy=True)  # in place: it may be 0.8 GB
    change -= chain_kernel(stages, weights).reshape(layer.weight.shape)
    error = relative(float(change.norm()), layer.weight)
    rise = sum(m.cost(part) for m, part in zip(layer.metrics, change.chunk(layer.spec.groups), strict=True))
    return Fitted(choice, stages, weights, error, rise, outcome)
