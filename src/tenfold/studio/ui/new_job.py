"""The page on which a job is described, looked at before it is started, and started."""

from __future__ import annotations

import tempfile
import tkinter as tk
from collections.abc import Callable, Mapping
from pathlib import Path
from tkinter import filedialog
from typing import TYPE_CHECKING, Any

import ttkbootstrap as ttk

from tenfold.core.errors import TenfoldError
from tenfold.studio.form import METHODS, Form
from tenfold.studio.jobs import Job
from tenfold.studio.language import _
from tenfold.studio.question import Question
from tenfold.studio.ui.page import Page, buttons, heading, wrap
from tenfold.studio.ui.parameters import Parameters
from tenfold.studio.wording import duration

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = ["TITLES", "NewJobPage"]

TITLES = {
    "": "Compress, with settings of your own",
    "btd-bayes": "Block terms, ranks by Bayesian optimisation",
    "lc": "Learning-compression, no pre-training",
}
_FILES = (("TOML", "*.toml"),)


class NewJobPage(Page):
    """A form, and what can be done with it.

    Attributes:
        parameters: the form.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """The form of a job with all defaults."""
        super().__init__(master, window)
        self._asked: Question | None = None
        self._names = Question("names")
        heading(self, _("New job"))
        self._method = tk.StringVar(self)
        self._expert = tk.BooleanVar(self, value=window.remembered.expert)
        self._make_top()
        self._make_bottom()
        self.parameters = Parameters(
            self, asked=lambda name: window.open("manual", key=name), changed=self._changed
        )
        self.parameters.expert = self._expert.get()
        self.parameters.pack(fill="both", expand=True, pady=(8, 8))
        self.load(Form())
        # a form without suggestions is as good
        self.ask(self._names.answer, self.parameters.suggest, lambda _error: None)

    def show(self, **asked: Any) -> None:
        """Show a form that someone else has filled in, or go to a field."""
        if "form" in asked:
            self.load(asked["form"])
        if "field" in asked:
            self.parameters.open_at(asked["field"])

    def kept(self) -> dict[str, Any]:
        """The form as it is filled in."""
        return {"form": self.parameters.form}

    def leave(self) -> None:
        """End a preview that is under way."""
        if self._asked is not None:
            self._asked.withdraw()

    def destroy(self) -> None:
        """Wait for nothing any more."""
        self.leave()
        self._names.withdraw()
        super().destroy()

    def load(self, form: Form) -> None:
        """Show a form."""
        self._say("", "")
        self.parameters.show(form)
        self._method.set(form.text("method"))

    def start(self) -> None:
        """Queue the job, or go to the first field that is wrong."""
        form = self.parameters.form
        errors = form.errors()
        if errors:
            name = next(iter(errors))
            self._say(errors[name] if not name else _("Some fields are wrong; they are marked."), "danger")
            self.parameters.open_at(name or "budget")
            return
        settings = form.settings()
        # the folder that a form names is the job's; else the data folder has one
        values = {name: value for name, value in settings.as_dict().items() if name != "out"}

        def added() -> Job:
            return self.store.queue.add(self.session, settings.command, values, settings.out)

        self.ask_store(added, lambda job: self.window.open("jobs", number=job.id))

    def preview(self) -> None:
        """Ask a process what the job would do."""
        try:
            text = self.parameters.form.to_toml()
        except TenfoldError as error:
            self._say(str(error), "danger")
            return
        self._say(
            _("Counting ... this takes some seconds, more for the first look at a network."), "secondary"
        )
        self._look.configure(state="disabled")
        self.ask(lambda: self._previewed(text), self._show_preview, self._no_preview)

    def _make_top(self) -> None:
        """The method, and the switch for experts."""
        top = ttk.Frame(self)
        top.pack(fill="x")
        for method in METHODS:
            ttk.Radiobutton(
                top,
                text=_(TITLES[method]),
                value=method,
                variable=self._method,
                command=self._choose_method,
            ).pack(anchor="w", pady=1)
        ttk.Checkbutton(
            top,
            text=_("Expert settings"),
            variable=self._expert,
            bootstyle="round-toggle",
            command=self._choose_expert,
        ).place(relx=1.0, y=0, anchor="ne")

    def _make_bottom(self) -> None:
        """What is said about the form, and the buttons."""
        row = ttk.Frame(self)
        row.pack(side="bottom", fill="x")
        self.start_button, self._look, *_rest = buttons(
            row,
            (_("Start job"), "primary", self.start),
            (_("What will this do?"), "secondary-outline", self.preview),
            (_("Load ..."), "secondary-outline", self._load_file),
            (_("Save ..."), "secondary-outline", self._save_file),
        )
        self.start_button.configure(default="active")
        self.said = ttk.Label(self, justify="left")
        self.said.pack(side="bottom", fill="x", pady=(0, 8))
        wrap(self.said)
        for keys, act in (("<Control-Return>", self.start), ("<Control-o>", self._load_file)):
            self.window.bind(keys, self._if_open(act))
        self.window.bind("<Control-s>", self._if_open(self._save_file))

    def _if_open(self, act: Callable[[], None]) -> Callable[[object], None]:
        """The same, where this page is looked at."""

        def acted(_event: object) -> None:
            if self.winfo_exists() and self.winfo_ismapped():
                act()

        return acted

    def _choose_method(self) -> None:
        """Show the fields and presets of another method."""
        form = self.parameters.form
        form.set("method", self._method.get())
        self.parameters.show(form)

    def _choose_expert(self) -> None:
        """Show more fields, or fewer."""
        self.window.remembered.expert = self._expert.get()
        self.parameters.show_expert(self._expert.get())

    def _changed(self) -> None:
        """Say what is wrong with the form as a whole; a preview of another form is none of this one."""
        self._say(self.parameters.form.errors().get("", ""), "danger")

    def _say(self, text: str, style: str) -> None:
        """Something about the form."""
        self.said.configure(text=text, bootstyle=style or "default")

    def _load_file(self) -> None:
        """Fill in the form from a job file."""
        path = filedialog.askopenfilename(parent=self, filetypes=_FILES)
        if path:
            self.load(Form.load(Path(path)))

    def _save_file(self) -> None:
        """Write a job file."""
        path = filedialog.asksaveasfilename(parent=self, filetypes=_FILES, defaultextension=".toml")
        if path:
            self.parameters.form.save(Path(path))
            self.window.tell(_("Saved to {path}.").format(path=path))

    def _previewed(self, text: str) -> Mapping[str, Any]:
        """What the process says."""
        with tempfile.TemporaryDirectory() as folder:
            job = Path(folder) / "job.toml"
            job.write_text(text, encoding="utf-8")
            self._asked = Question("preview", "--job", str(job), "--json")
            found: Mapping[str, Any] = self._asked.answer()
        return found

    def _show_preview(self, found: Mapping[str, Any]) -> None:
        """Say it."""
        self._look.configure(state="normal")
        parts = []
        for title, (before, after) in ((_("parameters"), found["params"]), (_("MACs"), found["macs"])):
            share = f"{100 * after / before:.1f} %" if after is not None else _("not limited")
            then = f"{after:,}" if after is not None else "?"
            parts.append(f"{title}: {before:,} → {then} ({share})")
        if found["factorised"] is not None:
            parts.append(
                _("layers replaced: {some} of {all}").format(some=found["factorised"], all=found["layers"])
            )
        parts.append(
            _("training: {steps:,} steps, about {time} here").format(
                steps=found["steps"], time=duration(found["seconds"])
            )
        )
        self._say("\n".join(parts), "")

    def _no_preview(self, error: TenfoldError) -> None:
        """Say why there is none."""
        if self.winfo_exists():
            self._look.configure(state="normal")
            stopped = self._asked is not None and self._asked.withdrawn
            self._say(_("The preview was stopped.") if stopped else str(error), "danger")
