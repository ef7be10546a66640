"""tensorly-torch's CP as a user would apply it: one rank fraction for all layers."""

from __future__ import annotations

import copy
import warnings

import torch
from tltorch import FactorizedConv
from torch import Tensor, nn

from tenfold.core.shapes import Stage
from tenfold.layers.chain import build_chain
from tenfold.layers.describe import describe
from tenfold.layers.surgery import replace_

__all__ = ["peer_cp"]


def peer_cp(model: nn.Module, limit: int) -> nn.Module:
    """A copy of `model`, its 3x3 convolutions factorised at the largest fraction that ships at most `limit`.

    The first layer is kept, as all public recipes do. The factors become a chain of plain
    convolutions, which computes the same, so that the recovery can train them.
    """
    convs = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.in_channels > 3
    }
    rest = sum(p.numel() for p in model.parameters()) - sum(c.weight.numel() for c in convs.values())
    ranks = _uniform_ranks(convs, limit - rest)
    made = copy.deepcopy(model)
    for name, conv in convs.items():
        stages, weights = _decompose(conv, ranks[name])
        replace_(made, name, build_chain(describe(conv), stages, weights, conv.bias))
    return made


def _uniform_ranks(convs: dict[str, nn.Conv2d], room: int) -> dict[str, int]:
    """Bisect the fraction of each layer's numbers that fills `room`."""

    def ranks(fraction: float) -> dict[str, int]:
        return {n: max(1, int(fraction * c.weight.numel() / sum(c.weight.shape))) for n, c in convs.items()}

    def cost(found: dict[str, int]) -> int:
        return sum(r * sum(convs[n].weight.shape) for n, r in found.items())

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(ranks(middle)) <= room else (low, middle)
    return ranks(low)


def _decompose(conv: nn.Conv2d, rank: int) -> tuple[tuple[Stage, ...], tuple[Tensor, ...]]:
    """The CP factors of tensorly-torch as pointwise, vertical, horizontal and pointwise stages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = FactorizedConv.from_conv(conv, rank=rank, factorization="cp")
    out, inp, rows, columns = (factor.detach() for factor in made.weight.factors)  # (n, rank) each
    scaled = out * made.weight.weights.detach()
    stages = (
        Stage(rank, conv.in_channels),
        Stage(rank, rank, (3, 1), groups=rank),
        Stage(rank, rank, (1, 3), groups=rank),
        Stage(conv.out_channels, rank),
    )
    weights = (
        inp.T[:, :, None, None],
        rows.T[:, None, :, None],
        columns.T[:, None, None, :],
        scaled[:, :, None, None],
    )
    torch.testing.assert_close(
        made.weight.to_tensor(), torch.einsum("or,ir,hr,wr->oihw", scaled, inp, rows, columns)
    )
    return stages, weights
