"""What a Bayesian optimisation of ranks tried, what it found, and what its model believes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tenfold.plots.costs import COSTS, cost_axis
from tenfold.plots.theme import GRID, INK, MUTED, SERIES, Drawing, log_if_wide, shade

__all__ = ["Slice", "Solution", "State", "Trial", "front_figure", "slice_figure", "trace_figure"]

State = Literal["complete", "pruned", "failed"]

_MOST = 1000  # trials that are drawn one by one
_LEVELS = 10


@dataclass(frozen=True)
class Solution:
    """A plan that was judged.

    Attributes:
        loss: held-out cross-entropy at the best temperature, nats.
        accuracy: held-out, percent; None if it was not measured.
        costs: by the names of `tenfold.plots.costs.COSTS`; others are not drawn.
    """

    loss: float
    accuracy: float | None = None
    costs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One attempt.

    Attributes:
        number: from 0.
        state: how it ended.
        solution: what it found; None if it failed before it found anything.
        best: least loss of all complete trials so far; None before the first.
    """

    number: int
    state: State
    solution: Solution | None
    best: float | None


@dataclass(frozen=True)
class Slice:
    """The posterior of the Gaussian process over two dimensions, the others at their best.

    Attributes:
        names: of the two dimensions.
        a: values of the first, at least two.
        b: values of the second, at least two.
        mean: of the log loss, a row a value of `a`.
        deviation: standard deviation, shaped like `mean`.
    """

    names: tuple[str, str]
    a: tuple[float, ...]
    b: tuple[float, ...]
    mean: tuple[tuple[float, ...], ...]
    deviation: tuple[tuple[float, ...], ...]


def trace_figure(name: str, trials: Sequence[Trial]) -> Drawing:
    """The loss of each trial in turn, and the best so far.

    Args:
        name: of the figure.
        trials: at least one, by rising number.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        best = [(trial.number, trial.best) for trial in trials if trial.best is not None]
        losses = [trial.solution.loss for trial in trials if trial.solution]
        log_if_wide(axes, "y", losses)
        if best:
            axes.step(*zip(*best, strict=True), where="post", color=SERIES[0], label="best so far")
        _dots(axes, trials, "complete", "o", SERIES[0])
        _dots(axes, trials, "pruned", "x", SERIES[1])
        failed = [trial.number for trial in _thinned([t for t in trials if t.state == "failed"])]
        if failed:
            low = axes.get_xaxis_transform()
            axes.plot(failed, [0.03] * len(failed), "v", color=SERIES[4], label="failed", transform=low)
        axes.set(xlabel="trial", ylabel="held-out loss, nats")
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        figure.legend(loc="outside upper center", ncols=4, fontsize=8)

    return Drawing(name, (9.0, 3.4), paint)


def front_figure(name: str, front: Sequence[Solution], trials: Sequence[Trial]) -> Drawing:
    """Accuracy, or loss where accuracy is not known, against each cost: all trials, and the best trade-offs.

    Args:
        name: of the figure.
        front: at least one, all with the same costs.
        trials: all that was tried; may be none.
    """
    costs = [cost for cost in COSTS if all(cost in x.costs for x in front)]
    accurate = all(x.accuracy is not None for x in front)
    tried = [x.solution for x in _thinned([t for t in trials if t.state == "complete"]) if x.solution]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
        for axes, cost in zip(panels, costs, strict=True):
            _against(axes, cost, tried, accurate, marker=".", color=MUTED, label="trial")
            _against(axes, cost, front, accurate, marker="D", color=SERIES[2], label="front")
            log_if_wide(axes, "x", [x.costs[cost] for x in front])
            cost_axis(axes, cost)
        panels[0].set_ylabel("held-out accuracy, %" if accurate else "held-out loss, nats")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=8)

    return Drawing(name, (max(5.0, min(9.6, 3.4 * len(costs))), 3.5), paint)


def slice_figure(name: str, part: Slice) -> Drawing:
    """Mean and standard deviation of the model over two dimensions.

    Args:
        name: of the figure.
        part: what to draw.
    """

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        titles = ("mean", "standard deviation")
        for axes, title, values in zip(panels, titles, (part.mean, part.deviation), strict=True):
            colours = [shade((level + 0.5) / _LEVELS)[0] for level in range(_LEVELS)]
            columns = list(zip(*values, strict=True))  # contourf wants a row a value of y
            filled = axes.contourf(part.a, part.b, columns, levels=_levels(values), colors=colours)
            bar = figure.colorbar(filled, ax=axes, location="bottom", aspect=30)
            bar.set_label(f"{title} of the log loss", color=INK)
            bar.outline.set_edgecolor(GRID)
            bar.ax.tick_params(labelsize=7)
            axes.set_xlabel(part.names[0])
        panels[0].set_ylabel(part.names[1])

    return Drawing(name, (8.4, 4.6), paint)


def _dots(axes: Axes, trials: Sequence[Trial], state: State, marker: str, color: str) -> None:
    """The trials that ended so."""
    found = [
        (t.number, t.solution.loss) for t in _thinned([t for t in trials if t.state == state]) if t.solution
    ]
    if found:
        axes.plot(*zip(*found, strict=True), marker, color=color, markersize=4, alpha=0.8, label=state)


def _against(
    axes: Axes,
    cost: str,
    solutions: Sequence[Solution],
    accurate: bool,
    *,
    marker: str,
    color: str,
    label: str,
) -> None:
    """Points of one panel."""
    points = [
        (x.costs[cost], x.accuracy if accurate else x.loss)
        for x in solutions
        if cost in x.costs and not (accurate and x.accuracy is None)
    ]
    if points:
        axes.plot(*zip(*points, strict=True), marker, color=color, label=label)


def _thinned(trials: Sequence[Trial]) -> Sequence[Trial]:
    """At most `_MOST` of them, evenly chosen."""
    return trials[:: -(-len(trials) // _MOST)] if trials else trials


def _levels(values: Sequence[Sequence[float]]) -> list[float]:
    """Evenly spaced from the smallest to the largest, which differ by more than rounding."""
    low, high = min(map(min, values)), max(map(max, values))
    span = max(high - low, 1e-6 * max(abs(low), abs(high), 1.0))
    return [low + span * step / _LEVELS for step in range(_LEVELS + 1)]
