"""What a network costs, as axes show it."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes

__all__ = ["COSTS", "cost_axis"]

COSTS = {
    "params": "parameters",
    "macs": "MACs",
    "size_bytes": "size, bytes",
    "latency_ms": "latency, ms",
}
"""Name of a cost -> how an axis says it."""

_TICKS = 5


def cost_axis(axes: Axes, cost: str) -> None:
    """Name the x axis after a cost; thousands and millions are k and M, so that ticks do not run together."""
    axes.set_xlabel(COSTS[cost])
    if axes.get_xscale() != "log":
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(_TICKS))
    if cost != "latency_ms":
        axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=" "))
