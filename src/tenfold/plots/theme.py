"""How every figure looks, and how it becomes SVG that fits into a page in light or dark, or a picture."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "SERIES",
    "Drawing",
    "log_if_wide",
    "logarithmic",
    "shade",
]

COLOURS = ("ink", "muted", "grid", "paper", *(f"series-{number}" for number in range(1, 7)))
"""What a figure is drawn in: variables of a page, which knows what light and dark look like."""

INK, MUTED, GRID, PAPER, *_series = (f"tenfold:{name}" for name in COLOURS)
SERIES = tuple(_series)

# Colours that no one would pick by hand stand in an SVG until each becomes the page's variable.
_TOKENS = {name: f"#010a{number:02x}" for number, name in enumerate(COLOURS[:4], start=1)} | {
    name: f"#010b{number:02x}" for number, name in enumerate(COLOURS[4:], start=1)
}

_FONT = "DejaVu Sans"  # comes with matplotlib, so that a layout is the same everywhere
_PIXELS = 100.0  # widest a figure is shown, for each of its inches
_WIDE = 8.0  # largest by smallest value from which an axis is better logarithmic
_FEW_DECADES = 1000.0
_SHADES = 10

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tenfold",
    "font.family": _FONT,
    "font.size": 9.0,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.0,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": PAPER,
    "axes.formatter.use_mathtext": False,
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.0,
}


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be drawn.

    Attributes:
        name: unlike that of any other on the page; letters, digits and hyphens.
        size: width and height, inches.
        paint: draws into the empty figure.
    """

    name: str
    size: tuple[float, float]
    paint: Callable[[Figure], None]

    def svg(self) -> str:
        """For use inside an HTML page.

        The same input gives the same bytes. Text is text. Every id begins with `name`. Colours are the
        page's variables ``--ink``, ``--muted``, ``--grid``, ``--paper`` and ``--series-1`` to ``--series-6``.

        Example:
            >>> text = Drawing("line", (4, 3), lambda figure: figure.subplots().plot([1, 2], color=INK)).svg()
            >>> text.startswith("<svg"), "var(--ink)" in text, "tenfold:ink" in text
            (True, True, False)
        """
        buffer = StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with _painted(self, _TOKENS) as figure:
            figure.savefig(buffer, format="svg", metadata=metadata)
        return _inlined(buffer.getvalue(), self.name, self.size[0])

    def png(self, colours: Mapping[str, str], dots: float) -> bytes:
        """For use where there is no page. The same input gives the same bytes.

        Args:
            colours: each of `COLOURS`, as ``#1b1f24``.
            dots: to the inch.
        """
        buffer = BytesIO()
        with _painted(self, colours) as figure:
            figure.savefig(buffer, format="png", dpi=dots, metadata={"Software": None})
        return buffer.getvalue()


@contextmanager
def _painted(drawing: Drawing, colours: Mapping[str, str]) -> Iterator[Figure]:
    """The figure, in these colours for as long as it is being written."""
    known = mpl.colors.get_named_colors_mapping()
    for name in COLOURS:
        known[f"tenfold:{name}"] = colours[name]  # not `update`, which would leave what is cached
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The page's font has the glyphs that matplotlib misses; only widths are guessed here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=drawing.size, layout="constrained")
        drawing.paint(figure)
        yield figure


def shade(fraction: float) -> tuple[str, str]:
    """Fill and text colour of a heat map's cell, the same in light and dark.

    Args:
        fraction: in [0, 1], from light to dark; values outside are moved to the nearest end.
    """
    step = min(_SHADES - 1, max(0, int(fraction * _SHADES)))
    red, green, blue, _ = mpl.colormaps["Blues"](0.08 + 0.87 * step / (_SHADES - 1))
    # weights of luminance after ITU-R BT.709
    dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5
    return mpl.colors.to_hex((red, green, blue)), "#ffffff" if dark else "#101418"


def log_if_wide(axes: Axes, which: str, values: Sequence[float]) -> None:
    """Make the axis "x" or "y" logarithmic if the values are positive and spread over a wide range."""
    if values and min(values) > 0 and max(values) > _WIDE * min(values):
        logarithmic(axes, which, max(values) / min(values))


def logarithmic(axes: Axes, which: str, ratio: float) -> None:
    """Make the axis "x" or "y" logarithmic, with plain numbers for ticks.

    Args:
        axes: the axes.
        which: "x" or "y".
        ratio: of the largest value to the smallest; where it is small, there are ticks between decades.
    """
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    if ratio < _FEW_DECADES:
        axis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(mpl.ticker.NullFormatter())


def _inlined(text: str, name: str, width: float) -> str:
    """What a page needs of an SVG file: no declarations, no width, no style for all, ids of its own."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', text)
    opening = f'<svg {box[0] if box else ""} role="img" aria-labelledby="{name}-caption"'
    text = re.sub(r"<svg[^>]*>", f'{opening} style="max-width: {width * _PIXELS:.0f}px">', text, count=1)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    # only inside tags: what a user named stays as it is
    return re.sub(r"<[^>]+>", lambda tag: _tidied(tag[0], name, used), text).strip()


def _tidied(tag: str, name: str, used: set[str]) -> str:
    """One tag: ids that are used begin with `name`, others go; the page's colours and font; short numbers."""
    tag = tag.replace("xlink:href=", "href=").replace(f"'{_FONT}'", "var(--font)")
    for colour, token in _TOKENS.items():
        tag = tag.replace(token, f"var(--{colour})")
    tag = re.sub(r' id="([^"]+)"', lambda id_: f' id="{name}-{id_[1]}"' if id_[1] in used else "", tag)
    tag = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", tag)
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
