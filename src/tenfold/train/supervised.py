"""Training with labels: the networks of the demo, and fine-tuning after a compression."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.core.names import FormName, OptimiserName, PrecisionName, ScheduleName
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.layers.mode import in_mode
from tenfold.train.batches import BLENDS, Augmentation, Batches, blended, generator
from tenfold.train.execution import answers_in_bfloat16, choose_execution, executed
from tenfold.train.loop import Descent, Loop, Loss, Row
from tenfold.train.optimisers import optimiser
from tenfold.train.running import Running
from tenfold.train.schedules import cycle_ends, rates
from tenfold.train.synchronised import synchronised

__all__ = ["Training", "train_"]

_CLIP = 5.0
_PLAIN = Running()


@dataclass(frozen=True)
class Training:
    """Settings of a training run.

    Attributes:
        epochs: passes over the data; 0 for none.
        batch_size: images a step.
        rate: highest learning rate.
        optimiser: SGD with Nesterov momentum, or `tenfold.train.optimisers.MuonAndSgd`.
        momentum: of SGD, in [0, 1).
        weight_decay: on all parameters for SGD, on matrices alone for Muon, at least 0.
        schedule: how the rate goes; see `tenfold.train.schedules.rates`.
        cycles: cycles of a cyclic schedule, at least 1.
        smoothing: label smoothing, in [0, 1).
        distillation: weight of the original's answers beside the labels, in [0, 1].
        temperature: both answers are divided by it before they are compared, above 0.
        mirrored: whether the original answers the mean logits over an image and its mirror image; means
            nothing where images are not mirrored at random.
        mixed: share of the images that are blended with another one, and their labels alike, in [0, 1].
        averaging: decay of a running average of the weights, which is then what is judged and shipped, in
            [0, 1); 0 for none.
        form: how chains are computed; see `tenfold.train.execution.choose_execution`.
        precision: of the passes; likewise, and that of the original is chosen on its own.
    """

    epochs: int = 0
    batch_size: int = 128
    rate: float = 0.02
    optimiser: OptimiserName = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: ScheduleName = "one-cycle"
    cycles: int = 1
    smoothing: float = 0.0
    distillation: float = 0.0
    temperature: float = 4.0
    mirrored: bool = False
    mixed: float = 0.0
    averaging: float = 0.0
    form: FormName = "timed"
    precision: PrecisionName = "timed"

    def stepper(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser, for all parameters of `model`."""
        return optimiser(
            self.optimiser,
            model.parameters(),
            rate=self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )


def train_(
    model: nn.Module,
    data: Dataset,
    preprocessing: Preprocessing,
    *,
    settings: Training,
    augmentation: Augmentation,
    teacher: nn.Module | None = None,
    running: Running = _PLAIN,
) -> Iterator[Row]:
    """Train `model` in place on labelled images.

        (1 - d) CE(z, labels) + d T^2 KL(softmax(z_teacher / T) || softmax(z / T))

    for logits z, d = `settings.distillation`, T = `settings.temperature` (Hinton, Vinyals & Dean,
    arXiv:1503.02531). Images may be blended (`tenfold.train.batches.blended`); with d = 1 the network then
    learns to be the original between its images too (Beyer et al., arXiv:2106.05237). z_teacher is the mean
    over an image and its mirror image if `settings.mirrored`.

    Args:
        model: gives logits (n, classes). Chains in it are trained in the faster of their two exact forms.
        data: labelled images.
        preprocessing: what the network expects.
        settings: see `Training`.
        augmentation: how the images are varied.
        teacher: whose answers are distilled; not changed. None distils nothing.
        running: see `Running`.

    Yields:
        A `Step` a step, its loss what is minimised; a `Rollback` where one was needed; a `Snapshot` at the
        end of each cycle that was judged; `Ended` last. Stop iterating to stop training.

    Raises:
        NonFiniteError: the loss blows up at any rate.
    """
    batches = Batches(
        data.images, preprocessing, augmentation, batch_size=settings.batch_size, seed=running.seed
    )
    steps = settings.epochs * batches.per_epoch
    if steps == 0:
        return
    settings = replace(settings, mirrored=settings.mirrored and augmentation.flip)
    first, _ = batches.at(1)
    execution = choose_execution(
        model, first, form=settings.form, precision=settings.precision, cache=running.cache
    )
    with ExitStack() as stack:
        if teacher is not None:
            stack.enter_context(in_mode(teacher, training=False))
        wanted = _wanted(teacher, first, settings, running.cache)
        stack.enter_context(executed(model, execution))
        stack.enter_context(synchronised(model, running.team))

        def loss(step: int) -> Loss:
            both = _labelled(batches, data, step, settings.mixed, running.seed)
            batch, labels = map(running.team.share, both)
            with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=execution.bfloat16):
                target = wanted(batch) if wanted else None
                found = _loss(model, target, batch, labels, settings)
            return Loss(found, found)

        descent = Descent(
            rates(settings.schedule, peak=settings.rate, steps=steps, cycles=settings.cycles),
            clip=_CLIP,
            floor=math.log(len(data.classes)),
            averaging=settings.averaging,
            ends=cycle_ends(steps, settings.cycles),
        )
        yield from Loop(model, settings.stepper(model), loss, descent, running).run()


def _labelled(batches: Batches, data: Dataset, step: int, mixed: float, seed: int) -> tuple[Tensor, Tensor]:
    """The images of a step and their labels (n, classes), a share of both blended."""
    images, places = batches.at(step)
    labels = functional.one_hot(data.labels[places], len(data.classes)).to(images)
    if mixed:
        images, labels = blended((images, labels), mixed, generator(seed + BLENDS, step))
    return images, labels


def _loss(
    model: nn.Module, target: Tensor | None, batch: Tensor, labels: Tensor, settings: Training
) -> Tensor:
    """What is minimised, in float32; `labels` (n, classes) are probabilities, `target` log-probabilities."""
    logits = model(batch).float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=settings.smoothing)
    if target is None:
        return loss
    answer = functional.log_softmax(logits / settings.temperature, 1)
    divergence = functional.kl_div(answer, target, reduction="batchmean", log_target=True)
    weight = settings.distillation
    return (1 - weight) * loss + weight * settings.temperature**2 * divergence


def _wanted(
    teacher: nn.Module | None, first: Tensor, settings: Training, cache: Path | None
) -> Callable[[Tensor], Tensor] | None:
    """The teacher's log-probabilities for a batch such as `first`; None where it teaches nothing."""
    if teacher is None or not settings.distillation:
        return None
    cast = answers_in_bfloat16(teacher, first, precision=settings.precision, cache=cache)

    def wanted(batch: Tensor) -> Tensor:
        # copies, for a forward may change its input in place
        views = [batch.clone(), batch.flip(-1)] if settings.mirrored else [batch.clone()]
        with torch.no_grad(), torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=cast):
            logits = torch.stack([teacher(view).float() for view in views]).mean(0)
            return functional.log_softmax(logits / settings.temperature, 1)

    return wanted
