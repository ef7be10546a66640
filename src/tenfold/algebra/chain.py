"""The kernel that a chain of convolutions amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from tenfold.core.errors import ShapeError
from tenfold.core.shapes import Stage

__all__ = ["chain_kernel"]


def chain_kernel(stages: Sequence[Stage], weights: Sequence[Tensor]) -> Tensor:
    """The one kernel whose convolution equals the whole chain.

        W_hat = w_n * ... * w_2 * w_1     (* contracts channels and convolves offsets)

    Differentiable. On each axis at most one stage may be longer than 1, which holds for every chain
    of tenfold; offsets then multiply instead of convolving.

    Args:
        stages: the chain's shapes.
        weights: one a stage, (out, inp // groups, kh, kw), one dtype and device.

    Returns:
        (out, inp // groups, kh, kw) in the dtype of `weights`, where `groups` is the number of
        independent convolutions that the chain consists of.

    Raises:
        ShapeError: a weight is not of its stage's shape, or two stages look along the same axis.

    Example:
        >>> stages = (Stage(2, 3), Stage(4, 2, (3, 3)))
        >>> chain_kernel(stages, [torch.ones(s.shape) for s in stages]).shape
        torch.Size([4, 3, 3, 3])
    """
    for stage, weight in zip(stages, weights, strict=True):
        if tuple(weight.shape) != stage.shape:
            raise ShapeError(f"stage {stage} has a weight of {tuple(weight.shape)}; expected {stage.shape}")
    for axis in (0, 1):
        if sum(stage.kernel[axis] > 1 for stage in stages) > 1:
            raise ShapeError(
                f"two stages of {stages} are longer than 1 on axis {axis}: their kernel is larger"
            )
    groups = _common_groups(stages)
    composed = _first(stages[0], weights[0], groups)
    for stage, weight in zip(stages[1:], weights[1:], strict=True):
        composed = _followed_by(composed, weight, stage.groups // groups)
    return composed.flatten(0, 1)


def _common_groups(stages: Sequence[Stage]) -> int:
    """How many independent chains stand side by side: what every stage's groups are a multiple of."""
    groups = min(stage.groups for stage in stages)
    fits = all(stage.groups % groups == 0 for stage in stages)
    joined = all(a.out == b.inp for a, b in pairwise(stages))
    if not (fits and joined):
        raise ShapeError(f"the stages {tuple(stages)} do not join into a chain")
    return groups


def _first(stage: Stage, weight: Tensor, groups: int) -> Tensor:
    """The kernel of the first stage, (groups, out / groups, inp / groups, kh, kw)."""
    inner = stage.groups // groups
    if inner == 1:  # the identity of a linear layer's 25,088 features would take 2.5 GB
        split: Tensor = weight.unflatten(0, (groups, -1))
        return split
    eye = torch.eye(stage.inp // groups, dtype=weight.dtype, device=weight.device)
    return _followed_by(eye.expand(groups, -1, -1)[..., None, None], weight, inner)


def _followed_by(kernel: Tensor, weight: Tensor, inner: int) -> Tensor:
    """`kernel` (groups, channels, inp, h, w), then a stage of `inner` groups within each of the chain's.

    One of the two is 1 long on each axis, so that the offsets of both unfold into one another.
    """
    groups = kernel.shape[0]
    before = kernel.unflatten(1, (inner, -1))  # (groups, inner, c, inp, h, w)
    stage = weight.unflatten(0, (groups, inner, -1))  # (groups, inner, o, c, kh, kw)
    after = torch.einsum("gbocuv,gbcihw->gboiuhvw", stage, before)
    return after.flatten(6, 7).flatten(4, 5).flatten(1, 2)
