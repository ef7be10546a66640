"""Batch norms over the batches of several processes together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce  # the one that gradients flow through

from tenfold.layers.surgery import replace_
from tenfold.train.team import Team

__all__ = ["synchronised"]


class _Synchronised(nn.Module):
    """A batch norm whose mean and variance are those of the images of all processes.

    PyTorch's own SyncBatchNorm refuses to run without a GPU.
    """

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm, team: Team) -> None:
        """Take over `norm`."""
        super().__init__()
        self.norm = norm
        self._team = team

    def forward(self, input: Tensor) -> Tensor:
        """As the norm; in training, with the statistics of all processes."""
        norm = self.norm
        if not norm.training:
            answer: Tensor = norm(input)
            return answer
        given = input.float()
        dims = [0, *range(2, input.dim())]
        count = self._team.size * given.numel() / given.shape[1]
        sums = torch.stack([given.sum(dims), given.square().sum(dims)])
        total: Tensor = all_reduce(sums)
        mean, square = total / count
        variance = (square - mean.square()).clamp_min(0)
        self._follow(mean, variance * count / max(count - 1, 1))
        shape = [1, -1, *[1] * (input.dim() - 2)]
        scale = torch.rsqrt(variance + norm.eps) * (1 if norm.weight is None else norm.weight)
        shift = (0 if norm.bias is None else norm.bias) - mean * scale
        answer = given * scale.view(shape) + shift.view(shape)
        return answer.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        norm = self.norm
        if norm.running_mean is None or norm.running_var is None:
            return
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        share = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)  # type: ignore[arg-type]
        with torch.no_grad():
            norm.running_mean.lerp_(mean.to(norm.running_mean), share)
            norm.running_var.lerp_(variance.to(norm.running_var), share)


@contextmanager
def synchronised(model: nn.Module, team: Team) -> Iterator[nn.Module]:
    """Hold the batch norms of `model` synchronised over `team`; nothing is done for one process."""
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and team.size > 1
    }
    try:
        for name, norm in norms.items():
            replace_(model, name, _Synchronised(norm, team))
        yield model
    finally:
        for name, norm in norms.items():
            replace_(model, name, norm)
