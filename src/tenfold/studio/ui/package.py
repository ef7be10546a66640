"""The page of packages: a run becomes a program for another device, and is started here."""

from __future__ import annotations

import time
import tkinter as tk
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tkinter import filedialog
from typing import TYPE_CHECKING, Any

import ttkbootstrap as ttk

from tenfold.config import read_toml
from tenfold.core.errors import TenfoldError
from tenfold.studio.errors import StudioError
from tenfold.studio.jobs import Job
from tenfold.studio.language import _
from tenfold.studio.packages import TARGETS, Package, Served, classify, read_package, start
from tenfold.studio.ui.desktop import open_folder
from tenfold.studio.ui.page import Page, buttons, heading, wrap
from tenfold.studio.ui.protection import Protection
from tenfold.studio.ui.runs import RunChoice
from tenfold.studio.wording import STATES, duration, file_size

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = ["PackagePage"]

_ONE_FILE = ("cli", "desktop")
_ICON = ("cli", "desktop", "folder", "web")
_INT8 = ("cli", "desktop", "folder", "web")
_PROTECTED = ("cli", "desktop", "folder")
_IMAGES = (("PNG, JPEG", "*.png *.jpg *.jpeg"),)


@dataclass(frozen=True)
class _Seen:
    """A job of this page as it was at one moment."""

    job: Job
    package: Package | None


class PackagePage(Page):
    """What is packed, and what came of it.

    Attributes:
        choice: of the run.
        target: kind of package.
        name: of the package; empty for the one that its network and images give.
        protection: whether a passphrase protects it.
        package: the finished one, or None.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """Nothing packed yet."""
        super().__init__(master, window)
        heading(self, _("Package"), _("The compressed network, ready for a device without PyTorch."))
        self.package: Package | None = None
        self._number: int | None = None
        self._target = ""
        self._asking = False
        self._served: Served | None = None
        self.target, self.name = tk.StringVar(self, value="desktop"), tk.StringVar(self)
        self._release, self._icon = tk.StringVar(self, value="1.0.0"), tk.StringVar(self)
        self._one_file, self._int8 = tk.BooleanVar(self), tk.BooleanVar(self)
        self._make_actions()
        body = ttk.ScrolledFrame(self, auto_hide=False, padding=0)
        body.container.pack(fill="both", expand=True)
        self.choice = RunChoice(body, lambda _run: None)
        self.choice.pack(fill="x", pady=(0, 10))
        self._make_targets(body)
        self._make_options(body)
        self._make_outcome(body)
        self._obey()

    def show(self, **asked: Any) -> None:
        """Offer the runs that are there; take the run `run`."""
        queue, session = self.store.queue, self.session
        self.ask_store(lambda: queue.jobs(session), lambda jobs: self._offer(jobs, asked.get("run")))

    def kept(self) -> dict[str, Any]:
        """The run that is chosen."""
        return {"run": self.choice.run}

    def tick(self) -> None:
        """Look how the job of this page is."""
        if self._number is None or self._asking:
            return
        self._asking = True
        number, target = self._number, self._target
        self.ask_store(lambda: self._look(number, target), self._seen, self._not_seen)

    def leave(self) -> None:
        """Leave no passphrase in a field that nobody sees."""
        self.protection.clear()

    def pack_run(self) -> None:
        """Queue the making of the package.

        Raises:
            StudioError: no run is chosen.
            ExportError: it is to be protected, and the passphrase is none; see `Protection.passphrase`.
        """
        if self.choice.run is None:
            raise StudioError(_("Choose a run first."))
        target = self.target.get()
        protect = target in _PROTECTED and self.protection.wanted.get()
        passphrase = self.protection.passphrase() if protect else None
        values = {
            "run": str(self.choice.run),
            "target": target,
            "name": self.name.get().strip() or None,
            "release": self._release.get().strip() or None,
            "icon": (target in _ICON and self._icon.get().strip()) or None,
            "one_file": target in _ONE_FILE and self._one_file.get(),
            "int8": target in _INT8 and self._int8.get(),
            "protect": protect,
        }
        queue = self.store.queue
        self.ask_store(lambda: queue.add(self.session, "pack", values, passphrase=passphrase), self._queued)

    def try_out(self) -> None:
        """Start the package, or let it classify an image.

        Raises:
            StudioError: a passphrase opens it, and there is none in the field.
        """
        package = self.package
        if package is None:
            return
        if package.target == "web":
            self._served = self._served or Served(package)
            webbrowser.open(self._served.address)
            self.window.tell(
                _("Served at {address} until this program ends.").format(address=self._served.address)
            )
        elif package.target == "desktop":
            self.ask(lambda: start(package), lambda _started: self.window.tell(_("Started.")))
        else:
            self._classify(package)

    def destroy(self) -> None:
        """Serve no more."""
        if self._served is not None:
            self._served.close()
            self._served = None
        super().destroy()

    def _classify(self, package: Package) -> None:
        """Ask for an image, and say what it shows."""
        passphrase = self.protection.first.get() if package.protected else None
        if passphrase == "":
            raise StudioError(_("Type the passphrase of the package first."))
        image = filedialog.askopenfilename(parent=self, filetypes=_IMAGES)
        if image:
            self.ask(lambda: classify(package, Path(image), passphrase), self._said.set)

    def _offer(self, jobs: Sequence[Job], run: Path | None) -> None:
        """Show which runs there are."""
        self.choice.offer(job for job in jobs if job.run_directory.joinpath("report.json").is_file())
        if run is not None:
            self.choice.choose(run)
        else:
            self.choice.choose_first()

    def _queued(self, job: Job) -> None:
        """Follow it."""
        self._number, self._target, self.package = job.id, str(read_toml(job.file)["target"]), None
        self._done.pack(fill="x", pady=(14, 0))
        if self._served is not None:
            self._served.close()
            self._served = None
        self._said.set("")
        self.protection.clear()
        self.tick()

    def _look(self, number: int, target: str) -> _Seen:
        """The job; in the thread of the store, where no variable of Tk may be read."""
        job = self.store.queue.job(self.session, number)
        log = self.store.queue.log(self.session, number)
        protected = bool(read_toml(job.file).get("protect"))
        package = read_package(target, log, protected=protected) if job.state == "done" else None
        return _Seen(job, package)

    def _seen(self, seen: _Seen) -> None:
        """Show it."""
        self._asking = False
        job, self.package = seen.job, seen.package
        spent = f", {duration((job.ended or time.time()) - job.started)}" if job.started else ""
        self._state.configure(text=f"{_('Job')} {job.id}: {_(STATES[job.state])}{spent}")
        if job.over:
            self._bar.stop()
            self._number = None
        elif job.state == "running":
            self._bar.start(20)
        self._bar.configure(
            mode="determinate" if job.over else "indeterminate", value=100 if seen.package else 0
        )
        lines = [job.error] if job.error else []
        if seen.package is not None:
            size = f"{file_size(seen.package.size_bytes)}, {seen.package.files} {_('files')}"
            lines = [str(seen.package.path), size, f"SHA-256 {seen.package.sha256}"]
        self._outcome.configure(text="\n".join(lines), bootstyle="danger" if job.error else "default")
        self._set_buttons()

    def _not_seen(self, error: TenfoldError) -> None:
        """Follow it no more."""
        self._asking = False
        self._number = None
        self.window.refuse(error)

    def _set_buttons(self) -> None:
        """Offer what can be done."""
        state = "normal" if self.package is not None else "disabled"
        self._try.configure(state=state)
        self._folder.configure(state=state)
        self._pack.configure(state="disabled" if self._number is not None else "normal")

    def _obey(self) -> None:
        """Show only wishes that the target heeds."""
        target = self.target.get()
        wishes = (
            (self._icon_row, _ICON),
            (self._one, _ONE_FILE),
            (self._eight, _INT8),
            (self.protection, _PROTECTED),
        )
        for widget, targets in wishes:
            if target in targets:
                widget.pack(fill="x", pady=4)
            else:
                widget.pack_forget()

    def _make_actions(self) -> None:
        """The buttons."""
        row = ttk.Frame(self)
        row.pack(side="bottom", fill="x", pady=(8, 0))
        self._pack, self._try, self._folder = buttons(
            row,
            (_("Pack"), "primary", self.pack_run),
            (_("Try it here"), "primary-outline", self.try_out),
            (_("Open folder"), "secondary-outline", self._open_folder),
        )
        self._set_buttons()

    def _make_targets(self, body: tk.Misc) -> None:
        """The kinds of packages."""
        for target, meaning in TARGETS.items():
            row = ttk.Frame(body)
            row.pack(fill="x", pady=2)
            ttk.Radiobutton(
                row, text=target, value=target, variable=self.target, command=self._obey, width=10
            ).pack(side="left", anchor="n")
            note = ttk.Label(row, text=_(meaning), bootstyle="secondary", justify="left")
            note.pack(side="left", fill="x", expand=True)
            wrap(note)

    def _make_options(self, body: tk.Misc) -> None:
        """Name, version and other wishes."""
        frame = ttk.Frame(body)
        frame.pack(fill="x", pady=(10, 0))
        for title, variable in ((_("Name"), self.name), (_("Version"), self._release)):
            row = ttk.Frame(frame)
            row.pack(fill="x", pady=4)
            ttk.Label(row, text=title, width=14).pack(side="left")
            ttk.Entry(row, textvariable=variable, width=32).pack(side="left")
        self._icon_row = ttk.Frame(frame)
        ttk.Label(self._icon_row, text=_("Icon"), width=14).pack(side="left")
        browse = ttk.Button(
            self._icon_row, text=_("Browse ..."), bootstyle="secondary-outline", command=self._choose_icon
        )
        icon = ttk.Entry(self._icon_row, textvariable=self._icon, width=32)
        icon.pack(side="left", fill="x", expand=True, padx=(0, 6))
        browse.pack(side="right", before=icon)  # what comes last becomes narrow where there is no room
        self._one = ttk.Checkbutton(
            frame, text=_("One file that unpacks itself at each start"), variable=self._one_file
        )
        self._eight = ttk.Checkbutton(
            frame, text=_("The network in 8 bits, as exported on the page Results"), variable=self._int8
        )
        self.protection = Protection(frame)

    def _make_outcome(self, body: tk.Misc) -> None:
        """What came of it."""
        self._done = frame = ttk.Frame(body)
        self._state = ttk.Label(frame)
        self._state.pack(anchor="w")
        self._bar = ttk.Progressbar(frame, maximum=100)
        self._bar.pack(fill="x", pady=4)
        self._outcome = ttk.Label(frame, justify="left")
        self._outcome.pack(anchor="w", fill="x")
        wrap(self._outcome)
        self._said = tk.StringVar(self)
        ttk.Label(frame, textvariable=self._said, font="TkFixedFont", justify="left").pack(
            anchor="w", pady=(6, 0)
        )

    def _choose_icon(self) -> None:
        """Ask for a picture."""
        found = filedialog.askopenfilename(parent=self, filetypes=_IMAGES)
        if found:
            self._icon.set(found)

    def _open_folder(self) -> None:
        """Show the files."""
        if self.package is not None:
            path = self.package.path
            self.ask(lambda: open_folder(path), lambda _opened: None)
