"""How a network is trained: which chains as one rebuilt kernel, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor, nn

from tenfold.compression.rebuilt import chains, faster_rebuilt, rebuilt
from tenfold.core.names import FormName, PrecisionName
from tenfold.layers.mode import in_mode

__all__ = ["Execution", "choose_execution", "executed"]

_TIMED_IMAGES = 32  # tell enough of the forms
_CLEARLY = 0.8  # rounding is worth it only for a clear gain


@dataclass(frozen=True)
class Execution:
    """What was chosen by timing, kept so that a run that goes on later computes the same bits.

    Attributes:
        rebuilt: chains that are computed as one layer with a rebuilt kernel.
        bfloat16: whether passes run under autocast to bfloat16.
    """

    rebuilt: tuple[str, ...] = ()
    bfloat16: bool = False


def choose_execution(
    model: nn.Module, batch: Tensor, *, form: FormName = "timed", precision: PrecisionName = "timed"
) -> Execution:
    """The fastest way to train `model` on batches like `batch`, or the one that is asked for.

    Args:
        model: the network, its chains in place; left as it was.
        batch: (n, channels, height, width), float32.
        form: "chain" or "rebuilt" for all chains, or "timed": each chain in the faster of the two.
        precision: "float32", "bfloat16", or "timed": the latter if it is clearly faster.
    """
    if form == "timed":
        names = tuple(faster_rebuilt(model, batch[:_TIMED_IMAGES]))
    else:
        names = tuple(chains(model)) if form == "rebuilt" else ()
    if precision != "timed":
        return Execution(names, precision == "bfloat16")
    with rebuilt(model, names):
        return Execution(names, _bfloat16_is_faster(model, batch))


@contextmanager
def executed(model: nn.Module, execution: Execution) -> Iterator[nn.Module]:
    """Hold `model` in the form that was chosen, in training mode, every parameter trainable.

    A network that was frozen for use is trained all the same; its flags come back afterwards.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(parameter.is_floating_point())
        with rebuilt(model, execution.rebuilt), in_mode(model, training=True):
            yield model
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def _bfloat16_is_faster(model: nn.Module, batch: Tensor) -> bool:
    """Time one forward pass in each precision, after one that warms up."""

    def seconds(cast: bool) -> float:
        times = []
        for _ in range(3):
            begin = perf_counter()
            with torch.no_grad(), torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=cast):
                model(batch)
            times.append(perf_counter() - begin)
        return min(times[1:])

    # Inference mode of batch norms: timing must not touch the running statistics.
    with in_mode(model, training=False):
        return seconds(True) < _CLEARLY * seconds(False)
