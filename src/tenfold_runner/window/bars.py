"""The likeliest classes as bars."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Sequence

from tenfold_runner.window.style import FIRST, GROUND, INK, OTHERS, TROUGH

__all__ = ["Bars"]

_ROW = 26
_NAMES = 150  # pixels for the names on the left
_NUMBERS = 64  # and for the numbers on the right
_LONGEST = 20  # characters of a name


class Bars(tk.Canvas):
    """A canvas with a bar a class."""

    def __init__(self, root: tk.Misc, rows: int) -> None:
        """Leave space for that many rows."""
        super().__init__(root, width=440, height=rows * _ROW + 6, background=GROUND, highlightthickness=0)
        self._ranked: tuple[tuple[str, float], ...] = ()
        self.bind("<Configure>", lambda _: self._draw())

    def put(self, ranked: Sequence[tuple[str, float]]) -> None:
        """Show these (class, probability), the likeliest first."""
        self._ranked = tuple(ranked)
        self._draw()

    def _draw(self) -> None:
        """All of it, in the width there is."""
        self.delete("all")
        width = max(40, self.winfo_width() - _NAMES - _NUMBERS)
        for row, (name, chance) in enumerate(self._ranked):
            top, middle = row * _ROW + 5, row * _ROW + 5 + _ROW // 2 - 3
            short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\u2026"
            self.create_text(_NAMES - 8, middle, text=short, anchor="e", fill=INK)
            self.create_rectangle(_NAMES, top, _NAMES + width, top + _ROW - 8, fill=TROUGH, width=0)
            end = _NAMES + round(width * chance)
            self.create_rectangle(_NAMES, top, end, top + _ROW - 8, fill=OTHERS if row else FIRST, width=0)
            self.create_text(_NAMES + width + 8, middle, text=f"{100 * chance:.1f} %", anchor="w", fill=INK)
