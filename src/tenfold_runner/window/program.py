"""The window: images with their classes, a folder as a table, a benchmark, the card."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from tkinter import filedialog, ttk
from typing import Any

from tenfold_runner.card import Card
from tenfold_runner.classify import Answer, Classifier, Timing
from tenfold_runner.errors import ImageError, RunnerError
from tenfold_runner.images import SUFFIXES
from tenfold_runner.package import Package, no_window
from tenfold_runner.table import Progress, write_table
from tenfold_runner.window.bars import Bars
from tenfold_runner.window.drop import take_files
from tenfold_runner.window.login import Login
from tenfold_runner.window.picture import SIDE, preview
from tenfold_runner.window.style import dress
from tenfold_runner.window.work import Work

__all__ = ["Program", "show"]

_TOP = 5
_BATCHES = (1, 32)
_KINDS = [("Images", " ".join(f"*{suffix}" for suffix in sorted(SUFFIXES))), ("All files", "*")]


def show(package: Package, files: Sequence[Path], *, threads: int = 1) -> int:
    """Open the window and stay until it is closed.

    Args:
        package: what to run.
        files: images to begin with.
        threads: of ONNX Runtime.

    Raises:
        RunnerError: there is no display.
    """
    try:
        root = tk.Tk(className=package.card.name)
    except tk.TclError as error:
        raise RunnerError(no_window(error)) from None
    dress(root)
    root.title(f"{package.card.name} {package.card.version}")
    if package.icon is not None:
        root.iconphoto(True, tk.PhotoImage(master=root, file=str(package.icon)))

    def unlock(passphrase: str | None) -> Classifier:
        return Classifier(package.card, package.network(passphrase), threads=threads)

    if package.protected:
        _ask(root, package.card, unlock, files)
    else:
        _fill(root, unlock(None), files)
    root.mainloop()
    return 0


def _ask(root: tk.Tk, card: Card, unlock: Callable[[str], Classifier], files: Sequence[Path]) -> None:
    """The login first."""

    def opened(classifier: Classifier) -> None:
        login.destroy()
        _fill(root, classifier, files)

    login = Login(root, card, unlock, opened)
    login.pack(expand=True)
    _close_with(root, login)


def _fill(root: tk.Tk, classifier: Classifier, files: Sequence[Path]) -> None:
    """The program itself."""
    program = Program(root, classifier)
    program.pack(fill="both", expand=True)
    _close_with(root, program)
    root.minsize(860, 540)
    if files:
        program.open(files)


def _close_with(root: tk.Tk, view: Login | Program) -> None:
    """Let what goes on beside the window end before it closes."""

    def close() -> None:
        view.work.close()
        root.destroy()

    root.protocol("WM_DELETE_WINDOW", close)


class Program(ttk.Frame):
    """What is in the window once the network is open.

    Attributes:
        picture: the image.
        bars: its classes.
        said: the line at the bottom.
        work: what goes on beside the window.
    """

    def __init__(self, root: tk.Misc, classifier: Classifier) -> None:
        """Lay it out."""
        super().__init__(root, padding=12)
        self._card, self._classifier = classifier.card, classifier
        self._files: list[Path] = []
        self._place = 0
        self._shown: tk.PhotoImage | None = None  # Tk itself keeps no reference
        self.work = Work(self, self._busy)
        self._buttons = self._tools()
        self._left("open an image, or drop one here" if take_files(self, self.take) else "open an image")
        self._right()
        self._bottom()
        self.columnconfigure(1, weight=1)
        self.rowconfigure(1, weight=1)
        for key, act in (("<Control-o>", self.choose_images), ("<Left>", self.back), ("<Right>", self.forth)):
            self.winfo_toplevel().bind(key, lambda _, act=act: act())  # type: ignore[misc]
        self._busy(False)

    def open(self, files: Sequence[Path]) -> None:
        """Show the first of some images; the others are a key away. Work that goes on is not disturbed."""
        if self.work.busy:
            return
        self._files, self._place = list(files), 0
        self._classify()

    def take(self, dropped: Sequence[Path]) -> None:
        """Open images that were dropped; a folder becomes a table, once it is said where to write it."""
        if self.work.busy:
            return
        if len(dropped) == 1 and dropped[0].is_dir():
            self.after_idle(self._choose_table, dropped[0])  # who dropped it waits for an answer
        elif dropped:
            self.open(dropped)

    def back(self) -> None:
        """The image before."""
        self._move(-1)

    def forth(self) -> None:
        """The next image."""
        self._move(1)

    def choose_images(self) -> None:
        """Ask which images to open."""
        names = filedialog.askopenfilenames(parent=self, title="Open images", filetypes=_KINDS)
        if names:
            self.open([Path(name) for name in names])

    def choose_folder(self) -> None:
        """Ask for a folder of images and a table to write."""
        folder = filedialog.askdirectory(parent=self, title="Folder of images", mustexist=True)
        if folder:
            self._choose_table(Path(folder))

    def _choose_table(self, folder: Path) -> None:
        """Ask for a table to write about a folder."""
        table = filedialog.asksaveasfilename(
            parent=self, title="Table to write", defaultextension=".csv", initialfile="classes.csv"
        )
        if table:
            self.tabulate(folder, Path(table))

    def tabulate(self, folder: Path, table: Path) -> None:
        """Classify a folder into a CSV file."""
        last: list[Progress] = []

        def states() -> Generator[Progress]:
            yield from write_table(self._classifier, folder, table)

        def step(progress: Progress) -> None:
            last[:] = [progress]
            self.bar.configure(maximum=progress.total, value=progress.done)
            self.said["text"] = f"{progress.done} of {progress.total} images"

        def done() -> str:
            if not last or last[0].done < last[0].total:
                return f"cancelled; {table} was not written"
            return f"{last[0].total} images, {last[0].failed} of them could not be read; table: {table}"

        self._begin(states, step, done)

    def bench(self) -> None:
        """Time the network, one image and many at a time."""
        found: dict[int, Timing] = {}

        def states() -> Generator[Timing]:
            for batch in _BATCHES:
                yield from self._classifier.bench(batch)

        def step(timing: Timing) -> None:
            found[timing.batch] = timing
            self.said["text"] = self._times(found)

        self.bar.configure(mode="indeterminate")
        self.bar.start()
        self._begin(states, step, lambda: self._times(found) or "cancelled")

    def _times(self, found: dict[int, Timing]) -> str:
        """A benchmark in a line."""
        threads = self._classifier.threads
        return "; ".join(
            f"{t.batch} at a time: median {t.median_ms:.3f} ms, {t.images_per_second:,.0f} images a second"
            f" ({threads} thread{'s' if threads > 1 else ''})"
            for t in found.values()
        )

    def _move(self, by: int) -> None:
        """Another of the open images."""
        if 0 <= self._place + by < len(self._files) and not self.work.busy:
            self._place += by
            self._classify()

    def _classify(self) -> None:
        """Read, classify and show the image at the present place."""
        path = self._files[self._place]

        def states() -> Generator[tuple[Answer, bytes]]:
            yield self._classifier.classify(path, _TOP), preview(path)

        def step(state: tuple[Answer, bytes]) -> None:
            answer, png = state
            self._shown = tk.PhotoImage(master=self, data=png)
            self.picture.configure(image=self._shown, text="")
            self.bars.put(answer.ranked)
            self.latency["text"] = f"{answer.latency_ms:.3f} ms in the network"

        def end(error: RunnerError | None) -> None:
            if isinstance(error, ImageError):
                self.picture.configure(image="", text="no image")
                self.bars.put(())
                self.latency["text"] = ""
            self._end(error, "")

        self.name["text"] = f"{path.name}   ({self._place + 1} of {len(self._files)})"
        self.work.start(states, step, end)

    def _begin(self, states: Any, step: Any, done: Any) -> None:
        """Start work that takes a while."""
        self.cancel["state"] = "normal"
        self.work.start(states, step, lambda error: self._end(error, done()))

    def _end(self, error: RunnerError | None, done: str) -> None:
        """Say how it ended."""
        self.bar.stop()
        self.bar.configure(mode="determinate", value=0)
        self.said["text"] = done if error is None else str(error)

    def _busy(self, busy: bool) -> None:
        """Take new work, or none."""
        for button in self._buttons:
            button["state"] = "disabled" if busy else "normal"
        if not busy:
            self.cancel["state"] = "disabled"

    def _tools(self) -> list[ttk.Button]:
        """The buttons on top."""
        row = ttk.Frame(self)
        row.grid(row=0, column=0, columnspan=2, sticky="w", pady=(0, 12))
        acts = (
            ("Open images\u2026", self.choose_images),
            ("\u25c0", self.back),
            ("\u25b6", self.forth),
            ("Folder to table\u2026", self.choose_folder),
            ("Benchmark", self.bench),
        )
        buttons = [ttk.Button(row, text=text, command=act, width=max(3, len(text))) for text, act in acts]
        for button in buttons:
            button.pack(side="left", padx=(0, 6))
        return buttons

    def _left(self, hint: str) -> None:
        """The image, its name and its time; `hint` stands there until there is one."""
        frame = ttk.Frame(self)
        frame.grid(row=1, column=0, sticky="n", padx=(0, 16))
        holder = ttk.Frame(frame, width=SIDE, height=SIDE, relief="groove")
        holder.pack_propagate(False)
        holder.pack()
        self.picture = ttk.Label(holder, text=hint, anchor="center")
        self.picture.pack(expand=True, fill="both")
        self.name = ttk.Label(frame, text="", wraplength=SIDE, justify="center")
        self.name.pack(pady=(6, 0))
        self.latency = ttk.Label(frame, text="")
        self.latency.pack()

    def _right(self) -> None:
        """The classes, and the card below."""
        frame = ttk.Frame(self)
        frame.grid(row=1, column=1, sticky="nsew")
        self.bars = Bars(frame, min(_TOP, len(self._card.classes)))
        self.bars.pack(fill="x")
        about = f"{self._card.network}, trained on {self._card.images}, {len(self._card.classes)} classes"
        ttk.Label(frame, text=about, font="TkHeadingFont").pack(anchor="w", pady=(16, 6))
        rows = self._card.lines
        heads = ("", "original", "this package")
        table = ttk.Treeview(frame, columns=heads[1:], height=len(rows), selectmode="none")
        for place, head in enumerate(heads):
            table.heading(f"#{place}", text=head, anchor="w" if place == 0 else "e")
            table.column(f"#{place}", width=230 if place == 0 else 130, anchor="w" if place == 0 else "e")
        for what, before, after in rows:
            table.insert("", "end", text=what, values=(before, after))
        table.pack(fill="x")

    def _bottom(self) -> None:
        """What goes on."""
        row = ttk.Frame(self)
        row.grid(row=2, column=0, columnspan=2, sticky="ew", pady=(12, 0))
        self.cancel = ttk.Button(row, text="Cancel", command=self.work.cancel)
        self.cancel.pack(side="right")
        self.bar = ttk.Progressbar(row, length=180)
        self.bar.pack(side="right", padx=8)
        self.said = ttk.Label(row, text="", wraplength=560)
        self.said.pack(side="left", fill="x")
