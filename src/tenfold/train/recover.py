"""Recovery without labels: the compressed network learns to answer what the original answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tenfold.compression.rebuilt import chains
from tenfold.core.names import FormName, PrecisionName
from tenfold.core.shapes import at_a_time
from tenfold.data.dataset import Preprocessing
from tenfold.layers.answers import tensors
from tenfold.layers.mode import in_mode
from tenfold.train.batches import BLENDS, Augmentation, Batches, blended, generator
from tenfold.train.execution import choose_execution, executed
from tenfold.train.loop import Descent, Loop, Loss, Row
from tenfold.train.running import Running

__all__ = ["Recovery", "mismatch", "recover"]

_WARM_UP = 30  # steps over which the rate rises: Adam's second moments know nothing at first
_CLIP = 10.0
_MOST = 128  # images a step
_FEWEST = 16  # that batch norms are trained on
_PLAIN = Running()
_SOUND = 0.1  # of the loss of a network that answers nothing: no sign of trouble, however small the first was
_TOGETHER = 100  # images at a time, where nothing is learned
_NO_POWER = 1e-6  # a block that answers nothing is not worth dividing by


@dataclass(frozen=True)
class Recovery:
    """Settings of the recovery.

    Attributes:
        steps: optimiser steps; 0 for none.
        batch_size: images a step; None for 128, of images above 64x64 for fewer, but 16.
        rate: peak learning rate of Adam; falls to 0 along a half cosine.
        features: weight of the error of the blocks' outputs beside that of the logits, at least 0.
        mixed: share of the images that are blended with another one, in [0, 1].
        form: how chains are computed; see `tenfold.train.execution.choose_execution`.
        precision: of the passes; likewise.
    """

    steps: int = 220
    batch_size: int | None = None
    rate: float = 2e-3
    features: float = 100.0
    mixed: float = 0.5
    form: FormName = "timed"
    precision: PrecisionName = "timed"

    def together(self, shape: Sequence[int]) -> int:
        """Images a step, of a shape that ends in (height, width).

        Example:
            >>> Recovery().together((32, 32)), Recovery().together((224, 224))
            (128, 16)
            >>> Recovery(batch_size=64).together((224, 224))
            64
        """
        return self.batch_size or max(at_a_time(shape, _MOST), _FEWEST)


def recover(
    model: nn.Module,
    original: nn.Module,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    settings: Recovery,
    augmentation: Augmentation,
    running: Running = _PLAIN,
) -> Iterator[Row]:
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
        running: see `Running`; nothing is judged.

    Yields:
        A `Step` a step, its loss the squared logit error of its batch, summed over classes and averaged over
        images; a `Rollback` where one was needed. Stop iterating to stop training; the network is then as the
        last step left it.

    Raises:
        NonFiniteError: the loss blows up at any rate.
    """
    together = settings.together(images.shape)
    batches = Batches(images, preprocessing, augmentation, batch_size=together, seed=running.seed)
    first, _ = batches.at(1)
    execution = choose_execution(
        model, first.clone(), form=settings.form, precision=settings.precision, cache=running.cache
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.rate)
    rates = [settings.rate * _shape(step, settings.steps) for step in range(1, settings.steps + 1)]
    with ExitStack() as stack:
        stack.enter_context(in_mode(original, training=False))
        names = _holders(model) if settings.features else []
        seen = [stack.enter_context(_outputs(network, names)) for network in (original, model)]
        stack.enter_context(executed(model, execution))

        def loss(step: int) -> Loss:
            given = (batches.at(step)[0],)
            (batch,) = blended(given, settings.mixed, generator(running.seed + BLENDS, step))
            with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=execution.bfloat16):
                error = _logit_error(model, original, batch)
            features = [_relative(seen[1][name], target) for name, target in seen[0].items()]
            for outputs in seen:
                outputs.clear()  # else a step that is given up would hold its passes through the next one
            return Loss(error + settings.features * sum(features), error)

        floor = _SOUND * _power(original, first)
        yield from Loop(model, optimiser, loss, Descent(rates, _CLIP, floor), running).run()


def mismatch(model: nn.Module, original: nn.Module, images: Tensor, preprocessing: Preprocessing) -> float:
    """How far answers are apart in evaluation mode: squared, summed over answers, mean over images.

    Args:
        model: left as it was.
        original: likewise.
        images: (n, channels, height, width), uint8, at least one.
        preprocessing: what both expect.

    Example:
        >>> plain = Preprocessing((0.0,), (1.0,))
        >>> mismatch(nn.Flatten(), nn.Identity(), torch.zeros(3, 1, 1, 1, dtype=torch.uint8), plain)
        0.0
    """
    together = at_a_time(images.shape, _TOGETHER)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    found = 0.0
    with in_mode(model, training=False), in_mode(original, training=False), torch.inference_mode():
        for part in images.split(together):
            batch = preprocessing.apply(part).to(device).contiguous(memory_format=torch.channels_last)
            found += float(_logit_error(model, original, batch)) * len(part)
    return found / len(images)


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


def _logit_error(model: nn.Module, original: nn.Module, batch: Tensor) -> Tensor:
    """Squared difference of all that both networks answer, an image, in float32."""
    with torch.no_grad():
        # its own copy: a forward may change its input in place
        wanted = list(tensors(original(batch.clone())))
    error = torch.zeros((), device=batch.device)
    for answer, target in zip(tensors(model(batch)), wanted, strict=True):
        error = error + (answer.float() - target.float()).square().sum() / len(batch)
    return error


def _power(original: nn.Module, batch: Tensor) -> float:
    """Squared sum of all that it answers, an image."""
    with torch.no_grad():
        return sum(float(answer.float().square().sum()) for answer in tensors(original(batch))) / len(batch)


def _relative(answer: Tensor, target: Tensor) -> Tensor:
    """||answer - target||^2 / ||target||^2, in the precision of the pass: the step is bound by memory."""
    difference: Tensor = torch.linalg.vector_norm(answer - target).float()
    power: Tensor = torch.linalg.vector_norm(target).float()
    return (difference / power.clamp_min(_NO_POWER)).square()
