"""Loss, learning rate and held-out accuracy over the steps of a recovery or of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tenfold.plots.theme import GRID, INK, MUTED, SERIES, Drawing, log_if_wide
from tenfold.plots.thinned import binned, corners

__all__ = ["Curve", "Point", "Snapshot", "curve_figure", "cycle_ends"]

_FLAT = 1e-9  # relative change of a rate below which it stands still


@dataclass(frozen=True)
class Point:
    """One step."""

    step: int
    loss: float
    rate: float


@dataclass(frozen=True)
class Snapshot:
    """The network at the end of a cycle of the learning rate, on held-out images.

    Attributes:
        step: last one of the cycle.
        accuracy: percent.
        chosen: whether this is the one that was kept.
    """

    step: int
    accuracy: float
    chosen: bool


@dataclass(frozen=True)
class Curve:
    """What a phase recorded.

    Attributes:
        points: at least one, by rising step.
        snapshots: by rising step; may be none.
        rollbacks: steps at which it went back to an earlier state.
        start: held-out accuracy before the phase, percent; None if it was not measured.
    """

    points: tuple[Point, ...]
    snapshots: tuple[Snapshot, ...] = ()
    rollbacks: tuple[int, ...] = ()
    start: float | None = None


def cycle_ends(curve: Curve) -> tuple[int, ...]:
    """The steps at which the learning rate starts anew: after the snapshots, or where it stops falling.

    Example:
        >>> rates = [0.1, 0.05, 0.01, 0.1, 0.05, 0.01]
        >>> cycle_ends(Curve(tuple(Point(n, 1.0, rate) for n, rate in enumerate(rates, start=1))))
        (3,)
    """
    last = curve.points[-1].step
    if curve.snapshots:
        return tuple(x.step for x in curve.snapshots if x.step < last)
    ends: list[int] = []
    falling = False
    for before, after in zip(curve.points, curve.points[1:], strict=False):
        if abs(after.rate - before.rate) <= _FLAT * abs(before.rate):
            continue
        if falling and after.rate > before.rate:
            ends.append(before.step)
        falling = after.rate < before.rate
    return tuple(ends)


def curve_figure(name: str, curve: Curve, *, loss: str) -> Drawing:
    """Loss and learning rate over the steps and, below, the snapshots.

    Args:
        name: of the figure.
        curve: what to draw.
        loss: what the loss is, with its unit.
    """

    def paint(figure: Figure) -> None:
        if curve.snapshots:
            upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
            _snapshots(lower, curve)
        else:
            upper = lower = figure.subplots()
        _loss(upper, curve, loss)
        for axes in dict.fromkeys((upper, lower)):
            _marks(axes, curve)
        lower.set_xlabel("step")

    return Drawing(name, (9.0, 5.4 if curve.snapshots else 3.4), paint)


def _loss(axes: Axes, curve: Curve, label: str) -> None:
    """The loss with its spread, and the rate on an axis of its own."""
    steps = np.array([point.step for point in curve.points], dtype=float)
    losses = np.array([point.loss for point in curve.points])
    rates = np.array([point.rate for point in curve.points])
    kept = np.isfinite(losses)
    lines: list[Any] = []
    if kept.any():
        middle, mean, low, high = binned(steps[kept], losses[kept])
        if len(middle) < kept.sum():
            axes.fill_between(middle, low, high, color=SERIES[0], alpha=0.2, linewidth=0)
        log_if_wide(axes, "y", [*low, *high])
        lines += axes.plot(middle, mean, color=SERIES[0], label="loss")
    axes.set_ylabel(label)
    second = axes.twinx()
    second.spines["right"].set_visible(True)
    places = corners(rates)
    lines += second.plot(
        steps[places], rates[places], color=SERIES[1], linewidth=1.0, linestyle="--", label="learning rate"
    )
    second.set(ylabel="learning rate", ylim=(0, None))
    second.grid(visible=False)
    figure = axes.get_figure()
    if figure is not None:
        figure.legend(handles=lines, loc="outside upper center", ncols=2, fontsize=8)


def _snapshots(axes: Axes, curve: Curve) -> None:
    """Held-out accuracy at the end of each cycle."""
    steps = [x.step for x in curve.snapshots]
    axes.plot(steps, [x.accuracy for x in curve.snapshots], "o-", color=SERIES[2], label="end of a cycle")
    for x in curve.snapshots:
        if x.chosen:
            axes.plot([x.step], [x.accuracy], "*", color=SERIES[4], markersize=13, label="chosen", zorder=3)
    if curve.start is not None:
        axes.axhline(curve.start, color=MUTED, linestyle=":", linewidth=1.2, label="before")
    axes.set_ylabel("held-out accuracy, %")
    axes.legend(loc="best", fontsize=8)


def _marks(axes: Axes, curve: Curve) -> None:
    """Ends of cycles and rollbacks as vertical lines."""
    for step in cycle_ends(curve):
        axes.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
    for step in curve.rollbacks:
        axes.axvline(step, color=SERIES[4], linewidth=1.2)
        axes.annotate(
            "rollback",
            (step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -2),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=7,
            color=INK,
            bbox={"facecolor": GRID, "edgecolor": "none", "pad": 1, "alpha": 0.7},
        )
