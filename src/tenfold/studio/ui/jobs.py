"""The page of jobs: what waits, runs and has run, and how it goes."""

from __future__ import annotations

import tkinter as tk
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ttkbootstrap as ttk

from tenfold.config import read_toml
from tenfold.core.errors import TenfoldError
from tenfold.studio.curves import LiveCurve, curves_of
from tenfold.studio.jobs import MAKERS, Job
from tenfold.studio.language import _
from tenfold.studio.progress import Progress
from tenfold.studio.ui.curves import Curves
from tenfold.studio.ui.desktop import open_folder
from tenfold.studio.ui.page import Page, buttons, fit_columns, heading, keep_split, select_row, wrap
from tenfold.studio.wording import PHASES, STATES, clock_time, duration

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = ["JobsPage"]

_COLUMNS = {"number": 50, "what": 170, "state": 100, "progress": 190, "created": 140, "owner": 100}


@dataclass(frozen=True)
class _Seen:
    """What the page shows, as it was at one moment."""

    jobs: tuple[Job, ...]
    progress: dict[int, Progress]
    curves: list[LiveCurve]
    log: str


class JobsPage(Page):
    """A list of jobs above what there is to see of one.

    Attributes:
        table: the list; a row is named by the number of its job.
        chosen: the job that is shown, or None.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """Empty."""
        super().__init__(master, window)
        heading(self, _("Jobs"))
        self.chosen: Job | None = None
        self._wanted: int | None = None
        self._asking = False
        self._logged = ""
        self._names: dict[int, str] = {}
        self._make_actions()
        panes = ttk.Panedwindow(self, orient="vertical")
        panes.pack(fill="both", expand=True)
        self._make_table(panes)
        self._make_details(panes)
        keep_split(panes, window.remembered.splits, "jobs")

    def show(self, **asked: Any) -> None:
        """Bring the list up to date; choose the job `number`."""
        self._wanted = asked.get("number", self._wanted)
        self.tick()

    def kept(self) -> dict[str, Any]:
        """The job that is chosen."""
        return {"number": self._chosen_number()}

    def tick(self) -> None:
        """Ask for news, unless the last answer is still to come."""
        if self._asking:
            return
        self._asking = True
        number = self._wanted if self._wanted is not None else self._chosen_number()
        self.ask_store(lambda: self._look(number), lambda seen: self._seen(seen, number), self._not_seen)

    def cancel(self) -> None:
        """Stop the chosen job."""
        self._act(self.store.queue.cancel)

    def resume(self) -> None:
        """Go on with the chosen job."""
        self._act(self.store.queue.resume)

    def remove(self) -> None:
        """Take the chosen job off the list."""
        self._act(self.store.queue.remove)

    def _act(self, act: Any) -> None:
        """Do something with the chosen job."""
        if self.chosen is not None:
            number = self.chosen.id
            self.ask_store(lambda: act(self.session, number), lambda _done: self.tick())

    def _look(self, number: int | None) -> _Seen:
        """All that is shown; in the thread of the store."""
        queue, session = self.store.queue, self.session
        jobs = queue.jobs(session)
        shown = {job.id: queue.progress(session, job.id) for job in jobs if not job.over or job.id == number}
        known = number in {job.id for job in jobs}
        events = queue.events(session, number) if known and number is not None else []
        log = queue.log(session, number) if known and number is not None else ""
        for job in jobs:
            if job.id not in self._names:
                self._names[job.id] = _what(job)
        return _Seen(jobs, shown, curves_of(events), log)

    def _seen(self, seen: _Seen, number: int | None) -> None:
        """Show it; where another job than `number` is chosen by now, look at that one."""
        self._asking = False
        for job in seen.jobs:
            row = self._row(job, seen.progress.get(job.id))
            if not self.table.exists(str(job.id)):
                self.table.insert("", self._place(job.id), iid=str(job.id), values=row)
            elif tuple(self.table.item(str(job.id), "values")) != row:
                self.table.item(str(job.id), values=row)
        known = {str(job.id) for job in seen.jobs}
        self.table.delete(*(row for row in self.table.get_children() if row not in known))
        self._choose(seen)
        if self.chosen is not None and self.chosen.id != number:
            self.tick()
            return
        self._show_details(seen)

    def _not_seen(self, error: Any) -> None:
        """Try again at the next tick."""
        self._asking = False
        self.window.refuse(error)

    def _place(self, number: int) -> int:
        """Where a new row goes: the newest is first."""
        return sum(int(row) > number for row in self.table.get_children())

    def _choose(self, seen: _Seen) -> None:
        """Keep what is chosen, or choose what was asked for, or the newest."""
        if self._wanted is not None:
            select_row(self.table, str(self._wanted))
            self._wanted = None
        if not self.table.selection() and seen.jobs:
            select_row(self.table, str(seen.jobs[0].id))
        number = self._chosen_number()
        self.chosen = next((job for job in seen.jobs if job.id == number), None)

    def _chosen_number(self) -> int | None:
        """Of the chosen row."""
        chosen = self.table.selection()
        return int(chosen[0]) if chosen else None

    def _show_details(self, seen: _Seen) -> None:
        """Bar, curves, log and buttons of the chosen job."""
        job = self.chosen
        self._set_buttons(job)
        progress = seen.progress.get(job.id, Progress()) if job else Progress()
        part = 100 * progress.done / progress.total if progress.total else 0
        self._bar.configure(value=100 if job and job.state == "done" else part)
        self._headline.configure(text=self._sentence(job, progress))
        self._error.configure(text=job.error if job else "")
        self._curves.show(seen.curves[-1] if seen.curves else None)
        if seen.log != self._logged:
            self._logged = seen.log
            self._log.configure(state="normal")
            self._log.delete("1.0", "end")
            self._log.insert("1.0", seen.log)
            self._log.see("end")
            self._log.configure(state="disabled")

    def _sentence(self, job: Job | None, progress: Progress) -> str:
        """Where the chosen job is."""
        if job is None:
            return _("No job yet. Describe one on the page New job.")
        if job.state == "running" and progress.phase:
            text = f"{_(PHASES.get(progress.phase, progress.phase))}: {progress.done:,} / {progress.total:,}"
            left = progress.left_s
            return text + (f", {duration(left)} {_('left in this phase')}" if left is not None else "")
        spent = f", {duration(job.ended - job.started)}" if job.ended and job.started else ""
        return f"{_('Job')} {job.id}: {_(STATES[job.state])}{spent}"

    def _set_buttons(self, job: Job | None) -> None:
        """Offer what can be done."""
        state = job.state if job else ""
        offered = (
            state in ("queued", "running") and job is not None and not job.cancelling,
            state in ("failed", "cancelled", "interrupted"),
            job is not None and job.over,
            state == "done" and job is not None and job.command in MAKERS,
            job is not None and job.started is not None,
        )
        for button, offer in zip(self._buttons, offered, strict=True):
            button.configure(state="normal" if offer else "disabled")

    def _row(self, job: Job, progress: Progress | None) -> tuple[str, ...]:
        """A row of the list."""
        state = _("stops ...") if job.cancelling else _(STATES[job.state])
        so_far = ""
        if progress is not None and progress.total and job.state == "running":
            so_far = f"{_(PHASES.get(progress.phase, progress.phase))} {progress.done:,}/{progress.total:,}"
        return (str(job.id), self._names[job.id], state, so_far, clock_time(job.created), job.owner)

    def _make_actions(self) -> None:
        """The buttons."""
        row = ttk.Frame(self)
        row.pack(side="bottom", fill="x", pady=(8, 0))
        self._buttons = buttons(
            row,
            (_("Cancel"), "danger-outline", self.cancel),
            (_("Resume"), "primary", self.resume),
            (_("Remove"), "secondary-outline", self.remove),
            (_("Results"), "primary-outline", self._open_results),
            (_("Open folder"), "secondary-outline", self._open_folder),
        )

    def _make_table(self, panes: ttk.Panedwindow) -> None:
        """The list."""
        frame = ttk.Frame(panes)
        titles = (_("No."), _("Job"), _("State"), _("Progress"), _("Queued"), _("Owner"))
        user = self.window.user
        shown = {x: y for x, y in _COLUMNS.items() if x != "owner" or (user and user.administrator)}
        self.table = ttk.Treeview(
            frame, columns=list(_COLUMNS), show="headings", height=5, selectmode="browse"
        )
        fit_columns(self.table, shown)
        for name, title in zip(_COLUMNS, titles, strict=True):
            self.table.heading(name, text=title, anchor="w")
            self.table.column(name, minwidth=40, stretch=name in ("what", "progress"), anchor="w")
        bar = ttk.Scrollbar(frame, command=self.table.yview)
        self.table.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.table.pack(fill="both", expand=True)
        self.table.bind("<<TreeviewSelect>>", lambda _event: self._select())
        self.table.bind("<Double-1>", lambda _event: self._open_results())
        self.table.bind("<Return>", lambda _event: self._open_results())
        self.table.bind("<Delete>", lambda _event: self.cancel())
        panes.add(frame, weight=1)

    def _make_details(self, panes: ttk.Panedwindow) -> None:
        """What is seen of one job."""
        frame = ttk.Frame(panes, padding=(0, 10, 0, 0))
        self._headline = ttk.Label(frame)
        self._headline.pack(anchor="w")
        self._bar = ttk.Progressbar(frame, maximum=100)
        self._bar.pack(fill="x", pady=(4, 4))
        self._error = ttk.Label(frame, bootstyle="danger", justify="left")
        self._error.pack(fill="x")
        wrap(self._error)
        book = ttk.Notebook(frame)
        book.pack(fill="both", expand=True)
        self._curves = Curves(book)
        book.add(self._curves, text=_("Curves"))
        holder = ttk.Frame(book)
        self._log = tk.Text(
            holder, height=8, wrap="char", state="disabled", borderwidth=0, font="TkFixedFont"
        )
        bar = ttk.Scrollbar(holder, command=self._log.yview)
        self._log.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self._log.pack(fill="both", expand=True)
        book.add(holder, text=_("Log"))
        book.enable_traversal()
        panes.add(frame, weight=3)

    def _select(self) -> None:
        """Show another job at once."""
        if self.chosen is None or self.chosen.id != self._chosen_number():
            self.tick()

    def _open_results(self) -> None:
        """Show what came of it."""
        if self.chosen is not None and self.chosen.state == "done" and self.chosen.command in MAKERS:
            self.window.open("results", run=self.chosen.run_directory)

    def _open_folder(self) -> None:
        """Show its files."""
        if self.chosen is not None:
            folder = self.chosen.run_directory
            self.ask(lambda: open_folder(folder), lambda _opened: None)


def _what(job: Job) -> str:
    """A job in a few words."""
    try:
        values = read_toml(job.file)
    except TenfoldError:
        values = {}
    subject = str(values.get("arch") or values.get("target") or "")
    if job.command not in MAKERS:
        subject = f"{subject} {job.run_directory.name}"
    return f"{job.command} {subject}".strip()
