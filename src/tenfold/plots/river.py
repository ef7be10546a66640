"""A river: bands that widen and narrow over time, one a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tenfold.plots.theme import PAPER, Drawing, shade

__all__ = ["River", "river_figure"]

_TURN = 0.35  # share of the way to a point on which a band takes its new width
_NAMED = 0.05  # share of the widest place that a band must reach to carry its name


@dataclass(frozen=True)
class River:
    """One river.

    Attributes:
        title: what its widths are.
        bands: from the top down; of each the width at every place, at least 0.
    """

    title: str
    bands: Mapping[str, tuple[float, ...]]


def river_figure(name: str, rivers: Sequence[River], places: Sequence[float], axis: str) -> Drawing:
    """Rivers below each other, on one axis.

    Args:
        name: of the figure.
        rivers: at least one, all with the same places.
        places: at least two, ascending.
        axis: what the places are, with their unit.
    """

    def paint(figure: Figure) -> None:
        panels = figure.subplots(len(rivers), 1, sharex=True, squeeze=False)[:, 0]
        for axes, river in zip(panels, rivers, strict=True):
            _flow(axes, river, places)
        panels[-1].set_xlabel(axis)

    return Drawing(name, (9.0, 0.7 + 2.1 * len(rivers)), paint)


def _flow(axes: Axes, river: River, places: Sequence[float]) -> None:
    """One river: widths stay until shortly before the place at which they are others."""
    x = _turns(places)
    widths = np.array([np.repeat(band, 2)[:-1] for band in river.bands.values()])
    last = max(1, len(river.bands) - 1)
    colours = [shade(number / last) for number in range(len(river.bands))]
    # The first band at the top.
    fills = [fill for fill, _ in colours]
    axes.stackplot(x, widths[::-1], baseline="sym", colors=fills[::-1], edgecolor=PAPER, linewidth=0.4)
    top = widths.sum(0) / 2 - np.cumsum(widths, 0) + widths
    most = widths.sum(0).max()
    for band, (text, _), (_, ink) in zip(range(len(widths)), river.bands.items(), colours, strict=True):
        place = int(widths[band, ::2].argmax()) * 2
        width = widths[band, place]
        if width >= _NAMED * most:
            inside = min(max(x[place], x[0]), x[-1])
            side = "left" if place == 0 else "right" if place == len(x) - 1 else "center"
            axes.annotate(
                text,
                (inside, top[band, place] - width / 2),
                xytext=({"left": 4, "right": -4, "center": 0}[side], 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=7,
                color=ink,
            )
    axes.set(ylabel=river.title, xlim=(x[0], x[-1]))
    axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{2 * abs(value):g}"))
    axes.grid(visible=False, axis="y")


def _turns(places: Sequence[float]) -> list[float]:
    """Each place, and between two of them where the way to the next width begins."""
    turns = [float(places[0])]
    for before, after in pairwise(places):
        turns += [after - _TURN * (after - before), float(after)]
    return turns
