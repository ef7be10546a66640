"""The figures of a network before and after, a card each."""

from __future__ import annotations

import tkinter as tk

import ttkbootstrap as ttk

from tenfold.core.report import Report
from tenfold.reporting.measures import MEASURES, Measure, compared, written
from tenfold.studio.language import _
from tenfold.studio.ui.page import TITLE_FONT, scaled

__all__ = ["Cards"]

_WIDTH = 168


class Cards(ttk.Frame):
    """A card a measure, in as many rows as the width needs."""

    def __init__(self, master: tk.Misc) -> None:
        """Empty cards."""
        super().__init__(master)
        self._cards = [_Card(self, measure) for measure in MEASURES]
        self._columns = 0
        self.bind("<Configure>", lambda event: self._arrange(event.width))

    def show(self, report: Report | None) -> None:
        """Show the figures of a run; None for one that has none."""
        for card in self._cards:
            card.show(report)

    def texts(self) -> dict[str, tuple[str, str]]:
        """What the cards say: measure -> (after, change)."""
        return {card.measure.name: card.texts for card in self._cards}

    def _arrange(self, width: int) -> None:
        """Lay the cards out."""
        columns = max(1, min(len(self._cards), width // scaled(self, _WIDTH)))
        if columns == self._columns:
            return
        self._columns = columns
        for number in range(len(self._cards)):
            self.columnconfigure(
                number, weight=1 if number < columns else 0, uniform="card" if number < columns else ""
            )
        for number, card in enumerate(self._cards):
            card.grid(row=number // columns, column=number % columns, sticky="nsew", padx=(0, 8), pady=(0, 8))


class _Card(ttk.LabelFrame):
    """One measure."""

    def __init__(self, master: tk.Misc, measure: Measure) -> None:
        """Without figures."""
        super().__init__(master, text=_(measure.title), padding=(10, 4, 10, 8))
        self.measure = measure
        self._after = ttk.Label(self, font=TITLE_FONT)
        self._after.pack(anchor="w", pady=(2, 0))
        self._change = ttk.Label(self, bootstyle="success")
        self._change.pack(anchor="w")
        self._before = ttk.Label(self, bootstyle="secondary")
        self._before.pack(anchor="w")
        self.texts = ("", "")

    def show(self, report: Report | None) -> None:
        """The figures of a run."""
        before, after = (
            (self.measure.of(x) for x in (report.before, report.after)) if report else (None, None)
        )
        change = _change(self.measure, before, after)
        self.texts = (written(after, self.measure.form), change)
        self._after.configure(text=self.texts[0])
        worse = after is not None and before is not None and (after < before) == self.measure.points
        self._change.configure(text=change, bootstyle="danger" if worse else "success")
        self._before.configure(text=f"{_('before')}: {written(before, self.measure.form)}")


def _change(measure: Measure, before: float | None, after: float | None) -> str:
    """How the second compares with the first."""
    if measure.points and before is not None and after is not None:
        return f"{after - before:+.2f} {_('points')}"
    if not before or not after:
        return compared(before, after)
    if after <= before:
        return f"{before / after:.2f} x {_('smaller')}"
    return f"{after / before:.2f} x {_('larger')}"
