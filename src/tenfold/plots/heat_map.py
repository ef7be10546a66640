"""The plan as a heat map of the network: layers in order, a line a stage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tenfold.core.report import LayerReport
from tenfold.plots.theme import GRID, INK, MUTED, PAPER, Drawing, shade

__all__ = ["heat_map", "stage_of"]

_ACROSS = 12  # cells on a line
_WIDTH = 9.4  # inches, of a figure whose cells are neither wider nor narrower than is good for them
_CELL = (0.72, 1.0)  # inches
_LINE = 0.98  # inches, a line with the gap below it
_LABEL = 1.25  # cells, room for the names of stages
_LEGEND = 0.55  # inches
_EDGE = 0.1  # inches, to the right
_LEAST = 6  # cells, so that the legend has room
_LONGEST = 12  # characters that fit into a cell
_SMALL, _TINY = 6.5, 6.0  # points


def heat_map(name: str, layers: Sequence[LayerReport]) -> Drawing:
    """How much is left of each layer, in parameters and in MACs, and by which scheme and rank.

    Args:
        name: of the figure.
        layers: at least one, in network order.
    """
    lines = _lines(layers)
    across = max(_LEAST, *(len(line) for _, _, line in lines))
    cell = min(_CELL[1], max(_CELL[0], (_WIDTH - _EDGE) / (across + _LABEL)))
    size = ((across + _LABEL) * cell + _EDGE, len(lines) * _LINE + _LEGEND)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")  # cells have a size in inches
        axes = figure.add_axes((0, _LEGEND / size[1], 1, 1 - _LEGEND / size[1]))
        axes.set_axis_off()
        axes.set(xlim=(-_LABEL, across + _EDGE / cell), ylim=(len(lines), 0))
        for row, (stage, part, line) in enumerate(lines):
            _label(axes, row, stage, first=part == 0)
            for column, layer in enumerate(line):
                _cell(axes, row, column, layer, _rest(layer.name, stage))
        _legend(figure, size, left=_LABEL * cell)

    return Drawing(name, size, paint)


def stage_of(layer: str) -> str:
    """The part of a network that a layer belongs to, by its qualified name; "" for one at the top.

    It is the shortest prefix that ends in a numbered part, such as ``layer1`` or ``blocks.3``, and where
    there is none, all but the last part.

    Example:
        >>> [stage_of(name) for name in ("layer1.0.conv1", "blocks.3.0.conv", "features.7", "conv1")]
        ['layer1', 'blocks.3', 'features', '']
    """
    parts = layer.split(".")[:-1]
    for number, part in enumerate(parts, start=1):
        if part[-1:].isdigit():
            return ".".join(parts[:number])
    return ".".join(parts)


def _lines(layers: Sequence[LayerReport]) -> list[tuple[str, int, list[LayerReport]]]:
    """(stage, which of its lines, layers) from top to bottom."""
    lines = []
    for stage, group in groupby(layers, key=lambda layer: stage_of(layer.name)):
        members = list(group)
        for part, begin in enumerate(range(0, len(members), _ACROSS)):
            lines.append((stage, part, members[begin : begin + _ACROSS]))
    return lines


def _rest(layer: str, stage: str) -> str:
    """The name of a layer inside its stage, cut in the middle where it is too long for a cell."""
    rest = layer[len(stage) + 1 :] if stage else layer
    if len(rest) <= _LONGEST:
        return rest
    half = (_LONGEST - 1) // 2
    return f"{rest[:half]}…{rest[-half:]}"


def _label(axes: Axes, row: int, stage: str, *, first: bool) -> None:
    """What stands to the left of a line."""
    if first and stage:
        axes.text(-_LABEL + 0.08, row + 0.1, stage, va="center", fontsize=8, fontweight="bold", color=INK)
    for height, word in ((0.28, "parameters"), (0.51, "MACs")):
        axes.text(-0.08, row + height, word, ha="right", va="center", fontsize=_TINY, color=MUTED)


def _cell(axes: Axes, row: int, column: int, layer: LayerReport, name: str) -> None:
    """One layer: its name, what is left of its parameters and MACs, its scheme and rank."""
    middle = column + 0.5
    axes.text(middle, row + 0.1, name, ha="center", va="center", fontsize=_SMALL, color=INK)
    for top, (before, after) in ((0.17, layer.params), (0.40, layer.macs)):
        _half(axes, (column, row + top), after / before if before else None, kept=layer.choice is None)
    if layer.choice is not None:
        rank = "×".join(map(str, layer.choice.rank))
        for height, text in ((0.71, layer.choice.scheme), (0.83, rank)):
            axes.text(middle, row + height, text, ha="center", va="center", fontsize=_TINY, color=INK)


def _half(axes: Axes, corner: tuple[float, float], left: float | None, *, kept: bool) -> None:
    """The fraction that is left, as colour and as text."""
    fill, ink, edge = (PAPER, MUTED, GRID)
    text = "kept" if kept else "–"
    if left is not None and not kept:
        fill, ink = shade(left)
        edge, text = fill, f"{100 * left:.0f} %"
    (x, y), width, height = corner, 0.92, 0.22
    axes.add_patch(Rectangle((x + 0.04, y), width, height, facecolor=fill, edgecolor=edge, linewidth=0.6))
    axes.text(x + 0.5, y + height / 2, text, ha="center", va="center", fontsize=_SMALL, color=ink)


def _legend(figure: Figure, size: tuple[float, float], *, left: float) -> None:
    """What the colours mean, `left` inches from the left."""
    width, height = size
    axes = figure.add_axes((left / width, 0.36 / height, 2.6 / width, 0.1 / height))
    for step in range(10):
        axes.add_patch(Rectangle((10 * step, 0), 10, 1, facecolor=shade(step / 10 + 0.05)[0], linewidth=0))
    axes.set(xlim=(0, 100), ylim=(0, 1), yticks=[], xticks=[0, 20, 40, 60, 80, 100])
    axes.grid(visible=False)
    axes.tick_params(labelsize=_SMALL, length=2)
    axes.set_xlabel("left of the original layer, %", fontsize=_SMALL, labelpad=1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:.0f}"))
