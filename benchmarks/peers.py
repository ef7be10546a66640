"""tensorly-torch's CP as a user would apply it: one rank fraction for all layers."""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pairs
import torch
from tltorch import FactorizedConv
from torch import Tensor, nn

import runs
from tenfold.core.shapes import Stage
from tenfold.data.dataset import Splits
from tenfold.layers.chain import build_chain
from tenfold.layers.describe import describe
from tenfold.layers.surgery import replace_
from tenfold.options import Options
from tenfold.pipeline.material import Material, material_of
from tenfold.train.loop import Ended, fill_
from tenfold.train.supervised import Training

__all__ = ["compared", "peer_cp", "untrained"]


def compared(model: nn.Module, data: Splits, ratio: float, epochs: int, seed: int) -> dict:
    """What tensorly-torch's CP of `model` measures as it comes, after tenfold's recovery, and fine-tuned.

    It ships `ratio` times fewer numbers. Batch norms are estimated anew before each accuracy is taken. The
    fine-tuning is that of `--method btd-bayes`; with 0 `epochs` there is none.
    """
    training = Training(epochs=epochs, rate=0.02, schedule="cosine-cyclic", cycles=3, distillation=0.9)
    material = material_of(model, data, Options(seed=seed, training=training))
    begin, made = time.perf_counter(), _at_ratio(model, ratio)
    as_it_comes = _accuracy(material, made)
    for _ in material.recovered(made, material.options.recovery):
        pass
    recovered = _accuracy(material, made)
    for row in material.trained(made):
        if isinstance(row, Ended):
            fill_(made, row.chosen)
    total, params = _numbers(model), _numbers(made)
    return {
        "accuracy": _accuracy(material, made) if epochs else as_it_comes,
        "recovered": recovered,
        "original": material.judged(model, data.test).accuracy,
        "params": params,
        "ratio": total / params,
        "epochs": epochs,
        "seconds": round(time.perf_counter() - begin),
        **_shipped(model, made, material.images.shape[1:]),
        **runs.MACHINE,
    }


def untrained(model: nn.Module, data: Splits, ratio: float, folder: Path) -> dict:
    """What `compared` trains, whose costs depend on its ranks alone, exported to `folder`: MACs and bytes."""
    return pairs.export(model, _at_ratio(model, ratio), data.train.images.shape[1:], folder)


def _at_ratio(model: nn.Module, ratio: float) -> nn.Module:
    """tensorly-torch's CP with `ratio` times fewer numbers."""
    return peer_cp(model, int(_numbers(model) / ratio))


def _numbers(model: nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for p in model.parameters())


def _accuracy(material: Material, made: nn.Module) -> float:
    """Percent of the test set, with batch norms estimated anew."""
    material.re_estimate(made)
    return material.judged(made, material.data.test).accuracy


def _shipped(model: nn.Module, made: nn.Module, shape: Sequence[int]) -> dict:
    """MACs, bytes and times of the network that was made."""
    with tempfile.TemporaryDirectory() as folder:
        return {**pairs.export(model, made, shape, Path(folder)), **pairs.timed(Path(folder))}


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
    rest = _numbers(model) - sum(c.weight.numel() for c in convs.values())
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
