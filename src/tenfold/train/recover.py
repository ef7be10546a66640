"""Recovery without labels: the compressed network learns to answer what the original answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import torch
from torch import Tensor, nn

from tenfold.compression.rebuilt import chains, faster_rebuilt, rebuilt
from tenfold.core.errors import NonFiniteError
from tenfold.data.dataset import Preprocessing
from tenfold.layers.answers import tensors
from tenfold.layers.mode import in_mode
from tenfold.train.batches import Augmentation, endless

__all__ = ["Recovery", "RecoveryState", "recover"]

_WARM_UP = 30  # steps over which the rate rises: Adam's second moments know nothing at first
_CLIP = 10.0


@dataclass(frozen=True)
class Recovery:
    """Settings of the recovery.

    Attributes:
        steps: optimiser steps; 0 for none.
        batch_size: images a step.
        rate: peak learning rate of Adam; falls to 0 along a half cosine.
        features: weight of the error of the blocks' outputs beside that of the logits, at least 0.
        mixed: share of the images that are blended with another one, in [0, 1].
    """

    steps: int = 500
    batch_size: int = 128
    rate: float = 2e-3
    features: float = 30.0
    mixed: float = 0.5


@dataclass(frozen=True)
class RecoveryState:
    """One step.

    Attributes:
        step: steps made, from 1.
        loss: squared logit error of this batch, summed over classes, averaged over images.
        rate: learning rate of this step.
    """

    step: int
    loss: float
    rate: float


def recover(
    model: nn.Module,
    original: nn.Module,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    settings: Recovery,
    augmentation: Augmentation,
    seed: int = 0,
) -> Iterator[RecoveryState]:
    """Train `model` in place to match the logits of `original` on augmented images.

        min over all parameters of  E ||model(x) - original(x)||^2 + features * sum over blocks of e_b(x)

    where e_b is the squared error of the output of a block (a module that holds chains), relative to the
    mean square of the original's. Half of the images are blends of two: targets for them cost nothing, and
    two thousand images then go further.

    Args:
        model: the compressed network; trained with its batch norms in training mode.
        original: what it was made of; not changed.
        images: (n, channels, height, width), uint8, no labels needed.
        preprocessing: what both networks expect.
        settings: steps, batch, rate.
        augmentation: as in the training of `original`.
        seed: of order and augmentation.

    Yields:
        One state a step. Stop iterating to stop training; the network is then as the last step left it.

    Raises:
        NonFiniteError: the loss is NaN or inf.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.rate)
    batches = endless(images, preprocessing, augmentation, batch_size=settings.batch_size, seed=seed)
    with ExitStack() as stack:
        stack.enter_context(in_mode(original, training=False))
        first = next(batches)
        blender = torch.Generator().manual_seed(seed)
        names = _holders(model) if settings.features else []
        seen = [stack.enter_context(_outputs(network, names)) for network in (original, model)]
        stack.enter_context(rebuilt(model, faster_rebuilt(model, first[:32])))
        stack.enter_context(in_mode(model, training=True))
        cast = _bfloat16_is_faster(model, first)
        for step, batch in enumerate(islice(batches, settings.steps), start=1):
            rate = settings.rate * _shape(step, settings.steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            blended = _blend(batch, settings.mixed, blender)
            loss = _step((original, model), seen, blended, optimiser, weight=settings.features, cast=cast)
            if not math.isfinite(loss):
                raise NonFiniteError(
                    f"recovery step {step}: the loss is {loss}; lower the rate of {rate:.2g}"
                )
            yield RecoveryState(step, loss, rate)


def _shape(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to 0."""
    return min(step / _WARM_UP, 1.0) * 0.5 * (1 + math.cos(math.pi * (step - 1) / max(steps, 1)))


def _holders(model: nn.Module) -> list[str]:
    """The modules, below the network itself, that hold a chain directly: the blocks of a residual network."""
    parents = (name.rpartition(".")[0] for name in chains(model))
    return sorted({parent for parent in parents if parent})


@contextmanager
def _outputs(model: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """What the modules `names` answered last, kept up to date while the block lasts."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, args: object, output: object) -> None:
            del args
            if isinstance(output, Tensor):
                seen[name] = output

        return hook

    handles = [model.get_submodule(name).register_forward_hook(note(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _blend(batch: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Blend about `share` of the images with another one of the batch, in random proportion."""
    count = len(batch)
    other = torch.randperm(count, generator=generator)
    own = torch.rand(count, 1, 1, 1, generator=generator)
    blended = torch.rand(count, 1, 1, 1, generator=generator) < share
    own = torch.where(blended, own, torch.ones(())).to(batch)
    return torch.lerp(batch[other], batch, own).contiguous(memory_format=torch.channels_last)


def _step(
    networks: tuple[nn.Module, nn.Module],
    seen: list[dict[str, Tensor]],
    batch: Tensor,
    optimiser: torch.optim.Optimizer,
    *,
    weight: float,
    cast: bool,
) -> float:
    """One gradient step; the squared logit error before it."""
    original, model = networks
    with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=cast):
        with torch.no_grad():
            wanted = list(tensors(original(batch)))
        answers = list(tensors(model(batch)))
    error = torch.zeros((), device=batch.device)
    for answer, target in zip(answers, wanted, strict=True):
        error = error + (answer.float() - target.float()).square().sum() / len(batch)
    total = error
    for name, target in seen[0].items():
        scale = target.float().square().mean().clamp_min(1e-12)
        total = total + weight * (seen[1][name].float() - target.float()).square().mean() / scale
    optimiser.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
    optimiser.step()
    return float(error.detach())


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
        return seconds(True) < 0.8 * seconds(False)
