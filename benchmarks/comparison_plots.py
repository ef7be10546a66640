"""The pictures of the comparison, in the style of tenfold's reports, as files that follow light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import matplotlib as mpl
from comparison_rows import BAYES, DEFAULT, PEER, PEER_RECOVERED, SCHEMES, Cell, Row
from comparison_tables import TITLES, said
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tenfold.plots.costs import COSTS
from tenfold.plots.theme import MUTED, SERIES, Drawing
from tenfold.reporting.colours import page_variables

__all__ = ["standing_alone", "write"]

Measured = dict[Cell, list[Row]]

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WAYS = (DEFAULT, PEER_RECOVERED, PEER, BAYES, *(scheme for scheme in SCHEMES if scheme != DEFAULT))
MARKERS = dict(zip(WAYS, "os^Dv<>P*", strict=True))
COLOURS = {way: SERIES[number % len(SERIES)] for number, way in enumerate(WAYS)}
AXES = {
    "params": COSTS["params"],
    "macs": COSTS["macs"],
    "size_bytes": COSTS["size_bytes"],
    "faster": "times faster",
}


def write(known: Measured) -> None:
    """Both pictures."""
    networks = [name for name in TITLES if any(cell.network == name for cell in known)]
    shot = {cell: rows for cell, rows in known.items() if not cell.epochs and cell.way in WAYS[:3]}
    pictures: dict[str, tuple[tuple[float, float], Callable[[Figure], None]]] = {
        "front": ((8.4, 3.6), lambda figure: front(figure, shot, ("resnet20", "resnet56"))),
        "comparison": ((11, 2.6 * len(networks)), lambda figure: grid(figure, known, networks)),
    }
    for name, (size, paint) in pictures.items():
        (IMAGES / f"{name}.svg").write_text(standing_alone(Drawing(name, size, paint).svg()))


def front(figure: Figure, known: Measured, networks: tuple[str, ...]) -> None:
    """Accuracy against parameters, a panel a network."""
    for axes, network in zip(figure.subplots(1, len(networks), squeeze=False)[0], networks, strict=True):
        panel(axes, known, network, "params")
        axes.set(title=f"{TITLES[network]}, CIFAR-10, no labels", ylabel="test accuracy, %")
    legend(figure)


def grid(figure: Figure, known: Measured, networks: list[str]) -> None:
    """A row a network, a column a cost; a filled mark is one shot, an open one is fine-tuned."""
    for line, network in zip(figure.subplots(len(networks), len(AXES), squeeze=False), networks, strict=True):
        for axes, cost in zip(line, AXES, strict=True):
            panel(axes, known, network, cost)
        line[0].set_ylabel(f"{TITLES[network]}\ntest accuracy, %")
    legend(figure)


def panel(axes: Axes, known: Measured, network: str, cost: str) -> None:
    """Every way of one network, against one cost."""
    lines: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for cell, rows in known.items():
        places = [value for row in rows if (value := getattr(row, cost)) is not None]
        if cell.network == network and places:
            height = mean(row.accuracy for row in rows)
            lines.setdefault((cell.method, cell.epochs), []).append((mean(places), height))
    if not lines:
        axes.text(0.5, 0.5, "not measured yet", transform=axes.transAxes, ha="center", color=MUTED)
        axes.set(xlabel=AXES[cost], xticks=(), yticks=())
        return
    for (way, epochs), points in sorted(lines.items(), key=lambda pair: WAYS.index(pair[0][0])):
        across, up = zip(*sorted(points), strict=True)
        axes.plot(
            across, up, f"{MARKERS[way]}{'--' if epochs else '-'}", color=COLOURS[way],
            fillstyle="none" if epochs else "full",
            label=said(way),
        )  # fmt: skip
    before = next(
        (r.original for c, rows in known.items() if c.network == network for r in rows if r.original), None
    )
    if before is not None:
        axes.axhline(before, color=MUTED, ls=":", lw=1, label="before")
    axes.set_xlabel(AXES[cost])
    if cost != "faster":
        axes.xaxis.set_major_formatter(mpl.ticker.EngFormatter(sep=" "))
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))


def legend(figure: Figure) -> None:
    """One for all panels, a mark for each way: filled, if the way was measured in one shot."""
    handles = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in handles or handles[label].get_fillstyle() == "none":
                handles[label] = handle
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4, fontsize=8)


def standing_alone(drawing: str) -> str:
    """A figure of `tenfold.plots` as a file: its colours are those of the reports, in light and in dark.

    Example:
        >>> "--ink: #1b1f24" in standing_alone('<svg viewBox="0 0 1 1" style="max-width: 9px"></svg>')
        True
    """
    light, dark = page_variables(dark=False), page_variables(dark=True)
    style = f":root {{{light}}} @media (prefers-color-scheme: dark) {{ :root {{{dark}}} }}"
    width = re.search(r"max-width: (\d+)px", drawing)[1]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}"'
    head, body = drawing.split(">", 1)
    head = re.sub(r' style="[^"]*"| role="[^"]*"| aria-labelledby="[^"]*"', "", head)
    return f"{head.replace('<svg', opening, 1)}><style>{' '.join(style.split())}</style>{body}\n"
