"""Runs side by side."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ttkbootstrap as ttk

from tenfold.core.errors import TenfoldError
from tenfold.studio.jobs import Job
from tenfold.studio.language import _
from tenfold.studio.ui.page import keep_split, scaled, wrap
from tenfold.studio.ui.runs import finished
from tenfold.studio.wording import clock_time

if TYPE_CHECKING:
    from tenfold.reporting.comparison import Comparison

__all__ = ["Comparing"]


class Comparing(ttk.Frame):
    """A list of runs, of which several are chosen, and a table of what they measured.

    Attributes:
        runs: the list; a row is named by the number of its job.
        table: what is compared.
        whole: the chosen row of it, of which a column may be too narrow to show all.
    """

    def __init__(
        self, master: tk.Misc, compare: Callable[[Sequence[Path]], None], splits: dict[str, float]
    ) -> None:
        """Empty; `compare` is called with the chosen runs; `splits` as of `keep_split`."""
        super().__init__(master, padding=8)
        self._compare = compare
        self._paths: dict[str, Path] = {}
        panes = ttk.Panedwindow(self, orient="horizontal")
        left = ttk.Frame(panes)
        self.runs = ttk.Treeview(left, show="tree", selectmode="extended", height=6)
        self.runs.bind("<Shift-Up>", lambda _event: self._extend(self.runs.prev))
        self.runs.bind("<Shift-Down>", lambda _event: self._extend(self.runs.next))
        self.runs.column("#0", width=scaled(self, 265))
        self.button = ttk.Button(
            left, text=_("Compare chosen runs"), bootstyle="primary-outline", command=self._start
        )
        self.button.pack(side="bottom", fill="x", pady=(8, 0))
        self.runs.pack(fill="both", expand=True)
        panes.add(left, weight=0)
        right = ttk.Frame(panes)
        self.whole = ttk.Label(right, bootstyle="secondary", justify="left")
        self.whole.pack(side="bottom", fill="x", pady=(6, 0))
        wrap(self.whole)
        self.table = ttk.Treeview(right, show="headings", height=6, selectmode="browse")
        self.table.bind("<<TreeviewSelect>>", lambda _event: self._show_whole())
        self.table.pack(fill="both", expand=True)
        panes.add(right, weight=1)
        panes.pack(fill="both", expand=True)
        keep_split(panes, splits, "comparing")

    def offer(self, jobs: Iterable[Job]) -> None:
        """List the runs of jobs."""
        done = {str(job.id): job for job in finished(jobs)}
        if list(self._paths) == list(done):
            return
        self._paths = {number: job.run_directory for number, job in done.items()}
        self.runs.delete(*self.runs.get_children())
        for number, job in done.items():
            self.runs.insert("", "end", iid=number, text=f"{number}: {job.command}, {clock_time(job.ended)}")

    def show(self, comparison: Comparison) -> None:
        """Show what was found: measures with an asterisk at the best, then settings that differ."""
        names = ["", *comparison.names]
        self.table.delete(*self.table.get_children())
        self.whole.configure(text="")
        self.table.configure(columns=[str(number) for number in range(len(names))])
        for number, name in enumerate(names):
            width = scaled(self, 130 if number else 260)
            self.table.heading(str(number), text=name, anchor="e" if number else "w")
            least = scaled(self, 80) if number else width  # no measure is cut off for its figures
            self.table.column(str(number), width=width, minwidth=least, anchor="e" if number else "w")
        rows = [*comparison.measures, *(row for row in comparison.settings if row.differs)]
        for row in rows:
            values = [f"{text} *" if place in row.best else text for place, text in enumerate(row.values)]
            self.table.insert("", "end", values=(row.title, *values))

    def _show_whole(self) -> None:
        """Say all of the chosen row."""
        for row in self.table.selection():
            title, texts = self.table.set(row, "0"), [self.table.set(row, x) for x in self._columns()[1:]]
            self.whole.configure(text=f"{title}: {';  '.join(texts)}")

    def _columns(self) -> list[str]:
        """Of the table: what is measured, then a run each."""
        return [str(name) for name in self.table.cget("columns")]

    def _extend(self, beside: Callable[[str], str]) -> str:
        """Choose one more, with the keyboard."""
        first = self.runs.focus()
        row = beside(first)
        if row:
            self.runs.selection_add(first, row)
            self.runs.focus(row)
            self.runs.see(row)
        return "break"

    def _start(self) -> None:
        """Compare what is chosen."""
        chosen = [self._paths[row] for row in self.runs.selection()]
        if len(chosen) < 2:
            raise TenfoldError(_("Choose two runs at least: Ctrl and a click, or Shift and an arrow key."))
        self._compare(chosen)
