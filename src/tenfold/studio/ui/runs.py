"""The choice of a run: one that a job has made, or a folder."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Iterable
from pathlib import Path
from tkinter import filedialog

import ttkbootstrap as ttk

from tenfold.studio.jobs import MAKERS, Job
from tenfold.studio.language import _
from tenfold.studio.wording import clock_time

__all__ = ["RunChoice", "finished"]


def finished(jobs: Iterable[Job]) -> list[Job]:
    """The jobs whose runs are there to be looked at."""
    return [job for job in jobs if job.command in MAKERS and job.state == "done"]


class RunChoice(ttk.Frame):
    """A box with runs, and a button for others.

    Attributes:
        run: the chosen one, or None.
    """

    def __init__(self, master: tk.Misc, chosen: Callable[[Path], None]) -> None:
        """Nothing to choose from; `chosen` is called with a run when it is chosen."""
        super().__init__(master)
        self.run: Path | None = None
        self._chosen = chosen
        self._runs: list[Path] = []
        ttk.Label(self, text=_("Run")).pack(side="left", padx=(0, 8))
        other = ttk.Button(
            self, text=_("Other folder ..."), bootstyle="secondary-outline", command=self._browse
        )
        other.pack(side="right")
        self._box = ttk.Combobox(self, state="readonly", width=30)
        self._box.pack(side="left", fill="x", expand=True, padx=(0, 8))
        self._box.bind("<<ComboboxSelected>>", lambda _event: self.choose(self._runs[self._box.current()]))

    def offer(self, jobs: Iterable[Job]) -> None:
        """Offer the runs of jobs; the chosen one stays."""
        texts = {job.run_directory: _run_text(job) for job in finished(jobs)}
        if self.run is not None:
            texts.setdefault(self.run, str(self.run))
        self._runs = list(texts)
        self._box.configure(values=list(texts.values()))
        if self.run is not None:
            self._box.current(self._runs.index(self.run))

    def choose(self, run: Path) -> None:
        """Take a run."""
        self.run = run
        if run in self._runs:
            self._box.current(self._runs.index(run))
        else:
            self._box.set(str(run))
        self._chosen(run)

    def choose_first(self) -> None:
        """Take the newest, where none is chosen."""
        if self.run is None and self._runs:
            self.choose(self._runs[0])

    def _browse(self) -> None:
        """Ask for the folder of a run."""
        found = filedialog.askdirectory(parent=self)
        if found:
            self.choose(Path(found))


def _run_text(job: Job) -> str:
    """A run in a line."""
    return f"{job.id}: {job.command}, {clock_time(job.ended)}, {job.run_directory.name}"
