"""The page of results: what a run made, and what can be done with it."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ttkbootstrap as ttk

from tenfold.core.atomic import write_text
from tenfold.core.errors import TenfoldError
from tenfold.core.plan import Plan
from tenfold.core.report import Report
from tenfold.runs.directory import RunDirectory
from tenfold.studio.curves import LiveCurve, curves_of
from tenfold.studio.form import Form, text_of
from tenfold.studio.jobs import Job
from tenfold.studio.language import _
from tenfold.studio.ui.cards import Cards
from tenfold.studio.ui.comparing import Comparing
from tenfold.studio.ui.curves import Curves
from tenfold.studio.ui.desktop import open_folder, open_page
from tenfold.studio.ui.page import Page, flow, heading, scroll_by_keys, wrap
from tenfold.studio.ui.plan_table import PlanTable
from tenfold.studio.ui.plots import Plots
from tenfold.studio.ui.runs import RunChoice
from tenfold.studio.wording import duration

if TYPE_CHECKING:
    from tenfold.reporting.comparison import Comparison
    from tenfold.studio.ui.window import Window

__all__ = ["ResultsPage"]

_EXPORTS: dict[str, dict[str, Any]] = {
    "ONNX": {},
    "ONNX, 8 bits": {"int8": True},
    "torch.export": {"format": "pt2"},
    "safetensors": {"format": "safetensors"},
}


@dataclass(frozen=True)
class _Seen:
    """What there is of a run."""

    run: Path
    report: Report | None
    plan: Plan
    curves: list[LiveCurve]


class ResultsPage(Page):
    """One run, and several side by side.

    Attributes:
        choice: of the run.
        cards: before and after.
        plan: its plan, which can be changed.
        plots: those of its report.
        comparing: several runs.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """Empty."""
        super().__init__(master, window)
        heading(self, _("Results"))
        self._seen: _Seen | None = None
        self.choice = RunChoice(self, self._look)
        self.choice.pack(fill="x", pady=(0, 10))
        self._make_actions()
        book = ttk.Notebook(self)
        book.pack(fill="both", expand=True)
        book.enable_traversal()
        self._make_summary(book)
        self._make_plan(book)
        self.plots = Plots(self, book)
        self.comparing = Comparing(book, self._compare, window.remembered.splits)
        book.add(self.comparing, text=_("Compare"))

    def show(self, **asked: Any) -> None:
        """Show the run `run`, or the newest."""
        queue, session = self.store.queue, self.session
        self.ask_store(lambda: queue.jobs(session), lambda jobs: self._offer(jobs, asked.get("run")))

    def kept(self) -> dict[str, Any]:
        """The run that is chosen."""
        return {"run": self.choice.run}

    def rerun(self) -> None:
        """Go to a new job with the plan as it was changed."""
        if self._seen is None:
            return
        seen, plan = self._seen, self.plan.plan
        path = self.store.path / "plans" / f"{seen.run.name}-{time.strftime('%Y%m%d-%H%M%S')}.json"

        def prepared() -> Form:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            write_text(path, plan.to_json())
            form = Form.load(RunDirectory(seen.run).job)
            form.set("out", "")
            form.set("budget", "")
            form.set("plan", str(path))
            if form.text("method") != "lc":
                form.set("until", "end")
            return form

        self.ask(prepared, lambda form: self.window.open("new", form=form))

    def _offer(self, jobs: Sequence[Job], run: Path | None) -> None:
        """Show which runs there are, and one of them."""
        self.choice.offer(jobs)
        self.comparing.offer(jobs)
        if run is not None:
            self.choice.choose(run)
        else:
            self.choice.choose_first()

    def _look(self, run: Path) -> None:
        """Read a run."""
        self.ask(lambda: _read(run), self._show)

    def _show(self, seen: _Seen) -> None:
        """Show it, unless another one was chosen meanwhile."""
        if seen.run != self.choice.run:
            return
        self._seen = seen
        self.cards.show(seen.report)
        layers = {layer.name: layer for layer in seen.report.layers} if seen.report else {}
        self.plan.show(seen.plan, layers)
        self.plots.show(seen.run)
        self._curves.show(seen.curves[-1] if seen.curves else None)
        self._asked.configure(text=_asked(seen))
        for button in self._buttons:
            button.configure(state="normal")
        if seen.report is None:
            self._export.configure(state="disabled")

    def _make_actions(self) -> None:
        """The buttons."""
        row = ttk.Frame(self)
        row.pack(side="bottom", fill="x", pady=(8, 0))
        self._buttons: list[ttk.Button | ttk.Menubutton] = []
        for text, style, command in (
            (_("Report"), "primary", self._open_report),
            (_("Open folder"), "secondary-outline", self._open_folder),
            (_("Use its settings"), "secondary-outline", self._use_settings),
            (_("Package ..."), "secondary-outline", self._package),
        ):
            button = ttk.Button(row, text=text, bootstyle=style, command=command, state="disabled")
            self._buttons.append(button)
        self._export = ttk.Menubutton(
            row, text=f"{_('Export')}  ", bootstyle="secondary-outline", state="disabled"
        )
        menu = ttk.Menu(self._export, tearoff=False)
        for title in _EXPORTS:
            menu.add_command(label=title, command=partial(self._export_as, title))
        self._export.configure(menu=menu)
        self._buttons.append(self._export)
        flow(row, self._buttons)

    def _make_summary(self, book: ttk.Notebook) -> None:
        """Before and after, and how it was trained."""
        frame = ttk.ScrolledFrame(book, auto_hide=False, padding=10)
        book.add(frame.container, text=_("Before and after"))
        scroll_by_keys(book, frame)
        self.cards = Cards(frame)
        self.cards.pack(fill="x")
        self._asked = ttk.Label(frame, bootstyle="secondary", justify="left")
        self._asked.pack(fill="x", pady=(0, 8))
        wrap(self._asked)
        self._curves = Curves(frame)
        self._curves.pack(fill="x")

    def _make_plan(self, book: ttk.Notebook) -> None:
        """The table of the plan, and what starts a run with it."""
        frame = ttk.Frame(book)
        row = ttk.Frame(frame, padding=(8, 0, 8, 8))
        row.pack(side="bottom", fill="x")
        self._rerun = ttk.Button(
            row, text=_("Run again with this plan ..."), bootstyle="primary-outline", command=self.rerun
        )
        self._rerun.pack(side="left")
        self._edited = ttk.Label(row, bootstyle="secondary", justify="left")
        self._edited.pack(side="left", fill="x", expand=True, padx=(12, 0))
        wrap(self._edited)
        self.plan = PlanTable(frame, self._plan_changed)
        self.plan.pack(fill="both", expand=True)
        book.add(frame, text=_("Plan"))

    def _plan_changed(self) -> None:
        """Say that it was."""
        self._edited.configure(
            text=_("The plan was changed; the run itself stays as it is.") if self.plan.edited else ""
        )

    def _open_report(self) -> None:
        """Show the page with all figures and plots, in the browser."""
        if self._seen is not None:
            run = self._seen.run
            self.ask(lambda: open_page(run / "report.html"), lambda _opened: None)

    def _open_folder(self) -> None:
        """Show the files."""
        if self._seen is not None:
            run = self._seen.run
            self.ask(lambda: open_folder(run), lambda _opened: None)

    def _use_settings(self) -> None:
        """Go to a new job with the same settings."""
        if self._seen is not None:
            form = Form.load(RunDirectory(self._seen.run).job)
            form.set("out", "")
            self.window.open("new", form=form)

    def _package(self) -> None:
        """Go to the page of packages."""
        if self._seen is not None:
            self.window.open("package", run=self._seen.run)

    def _export_as(self, title: str) -> None:
        """Queue an export."""
        if self._seen is not None:
            values = {"run": str(self._seen.run), **_EXPORTS[title]}
            self.ask_store(
                lambda: self.store.queue.add(self.session, "export", values),
                lambda job: self.window.open("jobs", number=job.id),
            )

    def _compare(self, runs: Sequence[Path]) -> None:
        """Compare runs in a thread: that reads many files."""

        def compared() -> Comparison:
            from tenfold.jobs.compare import compare

            return compare(runs)

        self.ask(compared, self.comparing.show)


def _read(run: Path) -> _Seen:
    """A run from its files.

    Raises:
        TenfoldError: there is no run, or one of its files is broken.
    """
    directory = RunDirectory.open(run)
    report = directory.read_report() if directory.report.is_file() else None
    if report is None and not directory.plan.is_file():
        raise TenfoldError(
            _("{run} is not finished: it has neither a report nor a plan yet.").format(run=run)
        )
    plan = directory.read_plan() if directory.plan.is_file() else Plan({})
    rows = report.history if report else tuple(directory.events())
    return _Seen(run, report, plan, curves_of(rows))


def _asked(seen: _Seen) -> str:
    """What a run was to do, and how long it took."""
    if seen.report is None:
        return str(seen.run)
    settings = seen.report.settings
    names = ("arch", "data", "scheme", "budget", "epochs", "seed")
    parts = [f"{name} {text_of(name, settings[name])}" for name in names if settings.get(name) is not None]
    spent = duration(sum(seen.report.seconds.values()))
    return f"{'; '.join(parts)}; {spent}\n{seen.run}"
