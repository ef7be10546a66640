"""Curves on a canvas: drawn in a few milliseconds, so that they can live."""

from __future__ import annotations

import math
import tkinter as tk
from collections.abc import Sequence

import ttkbootstrap as ttk

from tenfold.studio.curves import LiveCurve, thinned
from tenfold.studio.language import _
from tenfold.studio.ui.page import scaled

__all__ = ["Curves"]

_HEIGHT = 210  # see `scaled`, as for all pixels here
_MARGINS = (76, 72, 34, 26)  # left, right, top, bottom
_TICKS = 4
_APART = 28  # pixels between two numbers of an axis, at least
_WIDE = 8.0  # largest by smallest value from which an axis is better logarithmic


class Curves(tk.Canvas):
    """The loss of a phase, its learning rate dashed on an axis of its own, and accuracies as dots."""

    def __init__(self, master: tk.Misc) -> None:
        """Nothing to see yet."""
        super().__init__(master, height=scaled(master, _HEIGHT), highlightthickness=0)
        self._left, self._right, self._top, self._bottom = (scaled(master, size) for size in _MARGINS)
        self._curve: LiveCurve | None = None
        self.bind("<Configure>", lambda _event: self._draw())
        self.winfo_toplevel().bind("<<ModeChanged>>", lambda _event: self._draw(), add="+")

    def show(self, curve: LiveCurve | None) -> None:
        """Show another curve, or the same with more of it; None for none."""
        if curve != self._curve:
            self._curve = curve
            self._draw()

    def _draw(self) -> None:
        """Draw all of it."""
        if not self.winfo_exists():
            return
        colors = ttk.Style().colors
        self._ink, self._muted = str(colors.fg), str(colors.secondary)
        self._loss, self._rate, self._dots = str(colors.primary), str(colors.secondary), str(colors.success)
        self.configure(background=str(colors.bg))
        self.delete("all")
        curve = self._curve
        if curve is None or not curve.steps:
            text = _("Losses and learning rates appear here once something is trained.")
            room = max(1, self.winfo_width() - 2 * self._left)
            self.create_text(self._left, self._top, text=text, anchor="nw", fill=self._muted, width=room)
            return
        room = max(60, self.winfo_width() - self._left - self._right)
        self._draw_axes(curve)
        curve = thinned(curve, room)
        self._line(curve.steps, self._scaled(curve.rates, zero=True), self._rate, (5, 3))
        self._line(curve.steps, self._scaled(curve.losses), self._loss, ())
        if curve.judged:
            heights = self._scaled([accuracy for _step, accuracy in curve.judged])
            for (step, accuracy), height in zip(curve.judged, heights, strict=True):
                self._dot(step, accuracy, height)

    def _draw_axes(self, curve: LiveCurve) -> None:
        """Frame, titles and numbers."""
        right, bottom = self.winfo_width() - self._right, self.winfo_height() - self._bottom
        self._first, self._last = curve.steps[0], max(curve.steps[-1], curve.steps[0] + 1)
        corners = [(self._left, self._top), (self._left, bottom), (right, bottom), (right, self._top)]
        self.create_line(corners, fill=self._muted)
        self.create_text(
            self._left, 4, text=_(curve.title), anchor="nw", fill=self._ink, font="TkCaptionFont"
        )
        places = (
            (_("loss"), self._loss),
            (_("learning rate"), self._rate),
            (_("held-out accuracy, %"), self._dots),
        )
        x = right
        for title, colour in reversed(places if curve.judged else places[:2]):
            item = self.create_text(x, 6, text=title, anchor="ne", fill=colour)
            x = self.bbox(item)[0] - 16
        low, high, logarithmic = _range(curve.losses)
        ticks = max(1, min(_TICKS, (bottom - self._top) // scaled(self, _APART)))
        for part in range(ticks + 1):
            y = bottom - part * (bottom - self._top) / ticks
            value = low * (high / low) ** (part / ticks) if logarithmic else low + part * (high - low) / ticks
            self.create_text(self._left - 6, y, text=f"{value:.3g}", anchor="e", fill=self._muted)
            rate = part * max(curve.rates) / ticks
            self.create_text(right + 6, y, text=f"{rate:.2g}", anchor="w", fill=self._muted)
        for part in range(_TICKS + 1):
            step = round(self._first + part * (self._last - self._first) / _TICKS)
            self.create_text(self._x(step), bottom + 4, text=f"{step:,}", anchor="n", fill=self._muted)

    def _scaled(self, values: Sequence[float], *, zero: bool = False) -> list[float]:
        """Heights in [0, 1] of the frame."""
        if zero:
            top = max(values) or 1.0
            return [value / top for value in values]
        low, high, logarithmic = _range(values)
        if logarithmic:
            return [math.log(value / low) / math.log(high / low) for value in values]
        return [(value - low) / (high - low) for value in values]

    def _x(self, step: float) -> float:
        """Where a step is."""
        room = self.winfo_width() - self._left - self._right
        return self._left + room * (step - self._first) / (self._last - self._first)

    def _y(self, height: float) -> float:
        """Where a height is."""
        bottom = self.winfo_height() - self._bottom
        return bottom - height * (bottom - self._top)

    def _line(
        self, steps: Sequence[int], heights: Sequence[float], colour: str, dash: tuple[int, ...]
    ) -> None:
        """One line; a point where there is but one."""
        places = [
            place
            for step, height in zip(steps, heights, strict=True)
            for place in (self._x(step), self._y(height))
        ]
        if len(steps) == 1:
            places = [places[0] - 2, places[1], places[0] + 2, places[1]]
        self.create_line(*places, fill=colour, width=2, dash=dash)

    def _dot(self, step: int, accuracy: float, height: float) -> None:
        """An accuracy."""
        x, y = self._x(min(step, self._last)), self._y(0.1 + 0.8 * height)
        self.create_oval(x - 4, y - 4, x + 4, y + 4, fill=self._dots, outline="")
        self.create_text(x - 6, y - 6, text=f"{accuracy:.1f}", anchor="se", fill=self._dots)


def _range(values: Sequence[float]) -> tuple[float, float, bool]:
    """Lowest and highest value of an axis, and whether it is logarithmic."""
    low, high = min(values), max(values)
    if low > 0 and high > _WIDE * low:
        return low, high, True
    return (low, high, False) if high > low else (low - 0.5, high + 0.5, False)
