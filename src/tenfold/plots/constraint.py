"""How learning-compression went: both losses, the learning rate, the distance from the chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tenfold.plots.theme import INK, MUTED, SERIES, Drawing, log_if_wide, logarithmic
from tenfold.plots.thinned import binned, corners

__all__ = ["Course", "Fit", "Pulled", "course_figure"]


@dataclass(frozen=True)
class Pulled:
    """One step of an L step.

    Attributes:
        epoch: passes over the training images so far.
        loss: of the task, nats.
        penalty: for the distance from the chains, at least 0.
        rate: learning rate.
    """

    epoch: float
    loss: float
    penalty: float
    rate: float


@dataclass(frozen=True)
class Fit:
    """One C step.

    Attributes:
        epoch: passes over the training images so far.
        feasibility: relative distance of the kernels from their chains, at least 0.
        dense: held-out loss of the network as it is trained, nats; None if it was not measured.
        compressed: held-out loss with the chains put in, nats; None if it was not measured.
    """

    epoch: float
    feasibility: float
    dense: float | None = None
    compressed: float | None = None


@dataclass(frozen=True)
class Course:
    """All steps.

    Attributes:
        steps: of the L steps together, by rising epoch; may be none.
        fits: the C steps, at least one, by rising epoch.
        rollbacks: epochs at which training went back to an earlier state.
    """

    steps: tuple[Pulled, ...]
    fits: tuple[Fit, ...]
    rollbacks: tuple[float, ...] = ()


def course_figure(name: str, course: Course) -> Drawing:
    """Losses, learning rate, feasibility and held-out losses below each other; a dotted line is a C step.

    Args:
        name: of the figure.
        course: what to draw.
    """
    judged = any(fit.dense is not None for fit in course.fits)
    painters = [_losses, _rates] if course.steps else []
    painters += [_feasibility, *([_held_out] if judged else [])]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(len(painters), 1, sharex=True, squeeze=False)[:, 0]
        for axes, painter in zip(panels, painters, strict=True):
            painter(axes, course)
            for fit in course.fits:
                axes.axvline(fit.epoch, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
            for epoch in course.rollbacks:
                axes.axvline(epoch, color=SERIES[4], linewidth=1.2)
        panels[-1].set_xlabel("epoch")

    return Drawing(name, (9.0, 0.8 + 1.9 * len(painters)), paint)


def _losses(axes: Axes, course: Course) -> None:
    """The loss of the task and the penalty."""
    shown: list[float] = []
    for values, colour, label in (
        ([step.loss for step in course.steps], SERIES[0], "loss of the task, nats"),
        ([step.penalty for step in course.steps], SERIES[1], "penalty"),
    ):
        epochs = np.array([step.epoch for step in course.steps])
        losses = np.array(values)
        kept = np.isfinite(losses) & (losses > 0)  # none before the first C step
        if kept.any():
            middle, mean, low, high = binned(epochs[kept], losses[kept])
            if len(middle) < kept.sum():
                axes.fill_between(middle, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(middle, mean, color=colour, label=label)
            shown += [*low, *high]
    log_if_wide(axes, "y", shown)
    axes.set_ylabel("training")
    axes.legend(loc="best", fontsize=8)


def _rates(axes: Axes, course: Course) -> None:
    """The learning rate, whose cycles are the L steps."""
    epochs = np.array([step.epoch for step in course.steps])
    rates = np.array([step.rate for step in course.steps])
    places = corners(rates)
    axes.plot(epochs[places], rates[places], color=SERIES[2], linewidth=1.0)
    axes.set(ylabel="learning rate", ylim=(0, None))


def _feasibility(axes: Axes, course: Course) -> None:
    """The distance from the chains."""
    points = [(fit.epoch, fit.feasibility) for fit in course.fits if fit.feasibility > 0]
    if points:
        axes.plot(*zip(*points, strict=True), "o-", color=SERIES[3])
        logarithmic(axes, "y", _ratio([value for _, value in points]))
    axes.set_ylabel("||w - chain|| / ||w||", color=INK)


def _held_out(axes: Axes, course: Course) -> None:
    """The network and its chains on held-out images."""
    for name, colour, label in (("dense", SERIES[0], "network"), ("compressed", SERIES[1], "its chains")):
        points = [(x.epoch, getattr(x, name)) for x in course.fits if getattr(x, name) is not None]
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=label)
    log_if_wide(axes, "y", [x.compressed for x in course.fits if x.compressed is not None])
    axes.set_ylabel("held-out loss, nats")
    axes.legend(loc="best", fontsize=8)


def _ratio(values: Sequence[float]) -> float:
    """Largest by smallest."""
    return max(values) / min(values)
