"""Training with labels: the networks of the demo, and fine-tuning after a compression."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.core.errors import NonFiniteError
from tenfold.core.names import FormName, PrecisionName, ScheduleName
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.layers.mode import in_mode
from tenfold.train.batches import Augmentation, Batches
from tenfold.train.descent import descend
from tenfold.train.execution import choose_execution, executed
from tenfold.train.schedules import rates

__all__ = ["Training", "TrainingState", "train_"]

_CLIP = 5.0


@dataclass(frozen=True)
class Training:
    """Settings of a training run: SGD with Nesterov momentum.

    Attributes:
        epochs: passes over the data; 0 for none.
        batch_size: images a step.
        rate: highest learning rate.
        momentum: in [0, 1).
        weight_decay: on all parameters, at least 0.
        schedule: how the rate goes; see `tenfold.train.schedules.rates`.
        cycles: cycles of a cyclic schedule, at least 1.
        smoothing: label smoothing, in [0, 1).
        distillation: weight of the original's answers beside the labels, in [0, 1].
        temperature: both answers are divided by it before they are compared, above 0.
        form: how chains are computed; see `tenfold.train.execution.choose_execution`.
        precision: of the passes; likewise.
    """

    epochs: int = 0
    batch_size: int = 128
    rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: ScheduleName = "one-cycle"
    cycles: int = 1
    smoothing: float = 0.0
    distillation: float = 0.0
    temperature: float = 4.0
    form: FormName = "timed"
    precision: PrecisionName = "timed"


@dataclass(frozen=True)
class TrainingState:
    """One step.

    Attributes:
        step: steps made, from 1.
        steps: steps in all.
        epoch: the pass this step belongs to, from 1.
        loss: what is minimised, on this batch: cross-entropy in nats where nothing is distilled.
        rate: learning rate of this step.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    rate: float


def train_(
    model: nn.Module,
    data: Dataset,
    preprocessing: Preprocessing,
    *,
    settings: Training,
    augmentation: Augmentation,
    seed: int = 0,
    teacher: nn.Module | None = None,
) -> Iterator[TrainingState]:
    """Train `model` in place on labelled images.

        (1 - d) CE(z, labels) + d T^2 KL(softmax(z_teacher / T) || softmax(z / T))

    for logits z, d = `settings.distillation`, T = `settings.temperature` (Hinton, Vinyals & Dean,
    arXiv:1503.02531).

    Args:
        model: gives logits (n, classes). Chains in it are trained in the faster of their two exact forms.
        data: labelled images.
        preprocessing: what the network expects.
        settings: see `Training`.
        augmentation: how the images are varied.
        seed: of order and augmentation.
        teacher: whose answers are distilled; not changed. None distils nothing.

    Yields:
        One state a step; stop iterating to stop training.

    Raises:
        NonFiniteError: the loss is NaN or inf.
    """
    batches = Batches(data.images, preprocessing, augmentation, batch_size=settings.batch_size, seed=seed)
    steps = settings.epochs * batches.per_epoch
    if steps == 0:
        return
    execution = choose_execution(model, batches.at(1)[0], form=settings.form, precision=settings.precision)
    optimiser = _sgd(model, settings)
    with ExitStack() as stack:
        if teacher is not None:
            stack.enter_context(in_mode(teacher, training=False))
        stack.enter_context(executed(model, execution))
        schedule = rates(settings.schedule, peak=settings.rate, steps=steps, cycles=settings.cycles)
        for step, rate in enumerate(schedule, start=1):
            batch, places = batches.at(step)
            with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=execution.bfloat16):
                loss = _loss(model, teacher, batch, data.labels[places], settings)
            told = float(loss.detach())
            descend(loss, optimiser, rate=rate, clip=_CLIP)
            if not math.isfinite(told):
                raise NonFiniteError(
                    f"training step {step}: the loss is {told}; lower the rate of {rate:.2g}"
                )
            yield TrainingState(step, steps, 1 + (step - 1) // batches.per_epoch, told, rate)


def _sgd(model: nn.Module, settings: Training) -> torch.optim.SGD:
    """The optimiser of the settings."""
    return torch.optim.SGD(
        model.parameters(),
        lr=settings.rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
    )


def _loss(
    model: nn.Module, teacher: nn.Module | None, batch: Tensor, labels: Tensor, settings: Training
) -> Tensor:
    """What is minimised, in float32."""
    weight = settings.distillation if teacher is not None else 0.0
    wanted = _wanted(teacher, batch, settings.temperature) if teacher is not None and weight else None
    logits = model(batch).float()
    loss = functional.cross_entropy(logits, labels, label_smoothing=settings.smoothing)
    if wanted is None:
        return loss
    answer = functional.log_softmax(logits / settings.temperature, 1)
    divergence = functional.kl_div(answer, wanted, reduction="batchmean", log_target=True)
    return (1 - weight) * loss + weight * settings.temperature**2 * divergence


def _wanted(teacher: nn.Module, batch: Tensor, temperature: float) -> Tensor:
    """The teacher's log-probabilities; it has a copy, for a forward may change its input in place."""
    with torch.no_grad():
        return functional.log_softmax(teacher(batch.clone()).float() / temperature, 1)
