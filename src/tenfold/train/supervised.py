"""Training with labels: the networks of the demo, and fine-tuning after a compression."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.compression.rebuilt import faster_rebuilt, rebuilt
from tenfold.core.errors import NonFiniteError
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.layers.mode import in_mode
from tenfold.train.batches import Augmentation, endless_with_places

__all__ = ["Training", "TrainingState", "train_"]


@dataclass(frozen=True)
class Training:
    """Settings of a training run: SGD with Nesterov momentum under a one-cycle learning rate.

    Attributes:
        epochs: passes over the data; 0 for none.
        batch_size: images a step.
        rate: highest learning rate.
        momentum: in [0, 1).
        weight_decay: on all parameters, at least 0.
    """

    epochs: int = 0
    batch_size: int = 128
    rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class TrainingState:
    """One step.

    Attributes:
        step: steps made, from 1.
        steps: steps in all.
        epoch: the pass this step belongs to, from 1.
        loss: cross-entropy of the batch, in nats.
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
) -> Iterator[TrainingState]:
    """Train `model` in place on labelled images.

    Args:
        model: gives logits (n, classes). Chains in it are trained in the faster of their two exact forms.
        data: labelled images.
        preprocessing: what the network expects.
        settings: see `Training`.
        augmentation: how the images are varied.
        seed: of order and augmentation.

    Yields:
        One state a step; stop iterating to stop training.

    Raises:
        NonFiniteError: the loss is NaN or inf.
    """
    batch_size = min(settings.batch_size, len(data))
    steps = settings.epochs * (len(data) // batch_size)
    if steps == 0:
        return
    optimiser = _sgd(model, settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=steps, cycle_momentum=False
    )
    batches = endless_with_places(data.images, preprocessing, augmentation, batch_size=batch_size, seed=seed)
    with ExitStack() as stack:
        stack.enter_context(rebuilt(model, faster_rebuilt(model, preprocessing.apply(data.images[:32]))))
        stack.enter_context(in_mode(model, training=True))
        for step, (batch, places) in enumerate(islice(batches, steps), start=1):
            rate = float(schedule.get_last_lr()[0])
            loss = _step(model, batch, data.labels[places], optimiser)
            if not math.isfinite(loss):
                raise NonFiniteError(
                    f"training step {step}: the loss is {loss}; lower the rate of {rate:.2g}"
                )
            schedule.step()
            yield TrainingState(step, steps, 1 + (step - 1) * settings.epochs // steps, loss, rate)


def _sgd(model: nn.Module, settings: Training) -> torch.optim.SGD:
    """The optimiser of the settings."""
    return torch.optim.SGD(
        model.parameters(),
        lr=settings.rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
    )


def _step(model: nn.Module, batch: Tensor, labels: Tensor, optimiser: torch.optim.Optimizer) -> float:
    """One gradient step; the loss before it."""
    loss = functional.cross_entropy(model(batch), labels)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())
