"""Figures of one number a layer: bars, and what was predicted against what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from tenfold.plots.theme import INK, MUTED, SERIES, Drawing, logarithmic

__all__ = ["Rise", "bars", "predicted_against_measured", "rank_correlation"]

_NAMED = 5  # layers with a name beside their point


@dataclass(frozen=True)
class Rise:
    """The loss rise of one layer; both above 0, in the same unit."""

    layer: str
    predicted: float
    measured: float


def bars(name: str, values: Mapping[str, float], axis: str) -> Drawing:
    """Horizontal bars, the first at the top.

    Args:
        name: of the figure.
        values: what stands beside a bar -> its length; at least one.
        axis: what the length is, with its unit.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        rows = range(len(values))
        axes.barh(rows, list(values.values()), height=0.7, color=SERIES[0])
        axes.set_yticks(rows, list(values))
        axes.set(ylim=(len(values) - 0.4, -0.6), xlabel=axis)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelsize=7.5)

    return Drawing(name, (7.2, 0.6 + 0.2 * max(3, len(values))), paint)


def predicted_against_measured(name: str, rises: Sequence[Rise], axis: str) -> Drawing:
    """One point a layer on logarithmic axes, and the line on which a prediction is right.

    Args:
        name: of the figure.
        rises: at least one.
        axis: unit of both.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        values = [value for rise in rises for value in (rise.predicted, rise.measured)]
        ends = (min(values) / 1.6, max(values) * 1.6)
        axes.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle="--", label="predicted = measured")
        axes.plot(
            [rise.predicted for rise in rises],
            [rise.measured for rise in rises],
            "o",
            color=SERIES[0],
            label="one layer",
        )
        for which in "xy":
            logarithmic(axes, which, ends[1] / ends[0])
        axes.set(xlim=ends, ylim=ends)
        axes.set(xlabel=f"predicted {axis}", ylabel=f"measured {axis}")
        _name_outliers(axes, rises)
        figure.legend(loc="outside upper center", ncols=2, fontsize=8)

    return Drawing(name, (5.6, 5.4), paint)


def rank_correlation(rises: Sequence[Rise]) -> float | None:
    """Spearman's, in [-1, 1]: whether the layers that are predicted to cost most do cost most.

    None where it means nothing: fewer than three layers, or all alike.

    Example:
        >>> rank_correlation([Rise("a", 1.0, 2.0), Rise("b", 2.0, 3.0), Rise("c", 4.0, 9.0)])
        1.0
    """
    pairs = np.array([(rise.predicted, rise.measured) for rise in rises])
    if len(pairs) < 3 or (pairs.min(0) == pairs.max(0)).any():
        return None
    return round(float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic), 12)


def _name_outliers(axes: Axes, rises: Sequence[Rise]) -> None:
    """Names at the points that lie farthest from the line."""
    farthest = sorted(rises, key=lambda rise: -abs(math.log(rise.measured / rise.predicted)))
    for rise in farthest[:_NAMED]:
        above = rise.measured > rise.predicted  # left above the line, right below it: inside the figure
        axes.annotate(
            rise.layer,
            (rise.predicted, rise.measured),
            xytext=(-5 if above else 5, 3 if above else -3),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            fontsize=7,
            color=INK,
        )
