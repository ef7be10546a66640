"""The L step of learning-compression: a stretch of training whose kernels are drawn to centres."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.compression.lc import Penalty
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.train.batches import Augmentation, Batches
from tenfold.train.execution import choose_execution, executed
from tenfold.train.loop import Descent, Loop, Loss, Row
from tenfold.train.optimisers import pace
from tenfold.train.running import Running
from tenfold.train.schedules import rates
from tenfold.train.supervised import Training
from tenfold.train.synchronised import synchronised

__all__ = ["Stretch", "kernels_of", "learn_", "neutral_mu", "stretch_rates"]

_CLIP = 5.0
_DECAYED = 0.5  # at lower rates kernels that a strong constraint holds learn nothing more


@dataclass(frozen=True)
class Stretch:
    """One L step of several that make a longer descent.

    Attributes:
        rates: learning rate of each of its steps.
        before: steps of the stretches before it, so that each sees other images.
        penalty: see `tenfold.compression.lc.Penalty`; its layers are those of the network by name.
    """

    rates: Sequence[float]
    before: int
    penalty: Penalty


def stretch_rates(
    settings: Training, *, warm_up: int, warmed: str, stretch: int, stretches: int
) -> list[tuple[float, ...]]:
    """The rates of a warm-up, and of the stretches after it, which share a schedule.

    A cyclic schedule has a cycle in each stretch; the triangles of exp-cyclic end at half of the height they
    begin with.

    Args:
        settings: schedule of the stretches, and highest rate of all.
        warm_up: steps before them, at least 0.
        warmed: schedule of those, in one cycle.
        stretch: steps of each.
        stretches: their number, at least 0.

    Returns:
        1 + `stretches` tuples.

    Raises:
        UnknownNameError: no such schedule.

    Example:
        >>> settings = Training(schedule="constant", rate=0.1)
        >>> made = stretch_rates(settings, warm_up=3, warmed="one-cycle", stretch=2, stretches=2)
        >>> [len(part) for part in made], made[-1]
        ([3, 2, 2], (0.1, 0.1))
    """
    before = rates(warmed, peak=settings.rate, steps=warm_up)
    cycles = max(stretches, 1)
    together = rates(
        settings.schedule, peak=settings.rate, steps=stretch * stretches, cycles=cycles, decayed=_DECAYED
    )
    begins = range(0, len(together), stretch)
    return [before, *(together[begin : begin + stretch] for begin in begins)]


def kernels_of(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """The weights of layers by name: the network's own tensors."""
    return {name: model.get_submodule(name).weight for name in names}  # type: ignore[misc]


def neutral_mu(stretches: Sequence[Sequence[float]], pace: float) -> float:
    """The weight at which a mean stretch without a loss would draw its kernels e times nearer to the centres.

        mu = number of stretches / (pace * sum of all rates)

    for descent on mu/2 ||w - c||^2 alone leaves exp(-mu * pace * sum of rates) of the distance. So what mu
    means depends on none of schedule, optimiser and number of steps.

    Args:
        stretches: the rates of the steps of each, at least one of them above 0.
        pace: of the optimiser, see `tenfold.train.optimisers.pace`.

    Example:
        >>> neutral_mu([[0.5, 0.25], [0.25, 0.0]], pace=10.0)
        0.2
    """
    return len(stretches) / (pace * sum(map(sum, stretches)))


def learn_(
    model: nn.Module,
    data: Dataset,
    preprocessing: Preprocessing,
    *,
    settings: Training,
    augmentation: Augmentation,
    stretch: Stretch,
    running: Running,
) -> Iterator[Row]:
    """Train `model` in place on cross-entropy plus the penalty of a stretch, by proximal steps.

    The optimiser steps along the gradient of the cross-entropy alone, which is scaled down to a norm of 5;
    then each kernel is drawn to its centre as the penalty would,

        w <- (w + a c) / (1 + a),  a = rate * pace * mu

    (Parikh & Boyd, Proximal algorithms, 2014, section 4.2), with the optimiser's `pace`: stable at
    any mu, and with SGD at rest where the gradient of both together is zero. Steps of Muon are not in
    proportion to the gradient, so that for those mu weighs the constraint against the rate instead.

    Args:
        model: gives logits (n, classes).
        data: labelled images.
        preprocessing: what the network expects.
        settings: of the descent and of the passes; its epochs, schedule and distillation are not looked at.
        augmentation: how the images are varied.
        stretch: see `Stretch`.
        running: see `Running`.

    Yields:
        A `Step` a step, its loss the cross-entropy alone, the penalty apart; a `Rollback` where one was
        needed; `Ended` last.

    Raises:
        NonFiniteError: the loss blows up at any rate.
    """
    batches = Batches(
        data.images, preprocessing, augmentation, batch_size=settings.batch_size, seed=running.seed
    )
    kernels = kernels_of(model, list(stretch.penalty.centres))
    penalty = stretch.penalty.like({name: kernel.detach() for name, kernel in kernels.items()})
    execution = choose_execution(
        model, batches.at(1)[0], form="chain", precision=settings.precision, cache=running.cache
    )
    with ExitStack() as stack:
        stack.enter_context(executed(model, execution))
        stack.enter_context(synchronised(model, running.team))

        def loss(step: int) -> Loss:
            batch, places = map(running.team.share, batches.at(stretch.before + step))
            with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=execution.bfloat16):
                logits = model(batch).float()
            labels = data.labels[places]
            found = functional.cross_entropy(logits, labels, label_smoothing=settings.smoothing)
            return Loss(found, found, penalty(kernels))

        descent = Descent(stretch.rates, clip=_CLIP, floor=math.log(len(data.classes)))
        steps_by = settings.stepper(model)
        weight = penalty.mu * pace(settings.optimiser, settings.momentum)
        steps_by.register_step_post_hook(
            lambda by, *_: _draw_(kernels, penalty, weight * by.param_groups[0]["lr"])
        )
        yield from Loop(model, steps_by, loss, descent, running).run()


@torch.no_grad()
def _draw_(kernels: dict[str, Tensor], penalty: Penalty, weight: float) -> None:
    """The proximal step of the penalty, in place."""
    for name, centre in penalty.centres.items():
        kernels[name].lerp_(centre, weight / (1 + weight))
