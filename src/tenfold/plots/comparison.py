"""Several runs in one figure."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tenfold.core.report import Measures
from tenfold.plots.costs import COSTS, cost_axis
from tenfold.plots.theme import MUTED, SERIES, Drawing

__all__ = ["accuracy_figure", "drawable_costs"]

_MARKERS = "osD^vP"


def drawable_costs(runs: Mapping[str, Measures]) -> tuple[str, ...]:
    """The costs that at least two of the runs with an accuracy measured."""
    known = [run for run in runs.values() if run.accuracy is not None]
    return tuple(cost for cost in COSTS if sum(getattr(run, cost) is not None for run in known) >= 2)


def accuracy_figure(name: str, runs: Mapping[str, Measures], originals: Mapping[str, Measures]) -> Drawing:
    """Test accuracy against parameters, MACs, bytes and latency, as far as they were measured.

    Args:
        name: of the figure.
        runs: label -> what its compressed network measures; `drawable_costs` of them is not empty.
        originals: label -> what a network they were made of measures.
    """
    costs = drawable_costs(runs)
    across = min(2, len(costs))
    down = -(-len(costs) // across)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(down, across, sharey=True, squeeze=False).flat
        for axes, cost in zip(panels, costs, strict=False):
            _panel(axes, cost, runs, originals)
        for axes in list(panels)[len(costs) :]:
            axes.set_visible(False)
        handles: dict[str, Artist] = {}
        for axes in figure.axes:
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, fontsize=8)

    legend = 0.22 * -(-(len(runs) + len(originals)) // 3)
    return Drawing(name, (4.6 * across, 2.9 * down + legend), paint)


def _panel(axes: Axes, cost: str, runs: Mapping[str, Measures], originals: Mapping[str, Measures]) -> None:
    """Accuracy against one cost."""
    for number, (label, run) in enumerate(runs.items()):
        # colour and shape both change, for paper; after a round of six they meet in other pairs
        color = SERIES[number % len(SERIES)]
        marker = _MARKERS[(number + number // len(SERIES)) % len(_MARKERS)]
        _point(axes, cost, run, label, marker=marker, color=color)
    for label, original in originals.items():
        _point(axes, cost, original, label, marker="X", color=MUTED)
    axes.set(ylabel="test accuracy, %", xlim=(0, None))
    cost_axis(axes, cost)


def _point(axes: Axes, cost: str, measures: Measures, label: str, *, marker: str, color: str) -> None:
    """One network, if both figures of it are known."""
    value = getattr(measures, cost)
    if value is not None and measures.accuracy is not None:
        axes.plot([value], [measures.accuracy], marker, color=color, markersize=7, clip_on=False, label=label)
