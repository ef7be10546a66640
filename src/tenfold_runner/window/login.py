"""The passphrase of a protected package."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Generator
from tkinter import ttk

from tenfold_runner.card import Card
from tenfold_runner.classify import Classifier
from tenfold_runner.errors import PassphraseError, RunnerError
from tenfold_runner.package import waiting_seconds
from tenfold_runner.window.work import Work

__all__ = ["Login"]


class Login(ttk.Frame):
    """Asks until the passphrase is right; each wrong one makes the wait longer."""

    def __init__(
        self,
        root: tk.Misc,
        card: Card,
        unlock: Callable[[str], Classifier],
        opened: Callable[[Classifier], None],
    ) -> None:
        """Ask for the passphrase of the package of `card`; `opened` is told what `unlock` gives."""
        super().__init__(root, padding=24)
        self._unlock, self._opened = unlock, opened
        self._failures = 0
        self._classifier: Classifier | None = None
        self.work = Work(self, self._enable)
        ttk.Label(self, text=f"{card.name} {card.version}", font="TkHeadingFont").pack()
        ttk.Label(self, text="The network is protected. Passphrase:").pack(pady=(12, 4))
        self.entry = ttk.Entry(self, show="\u2022", width=36)
        self.entry.pack()
        self.button = ttk.Button(self, text="Unlock", command=self.unlock)
        self.button.pack(pady=12)
        self.said = ttk.Label(self, text="", wraplength=320, justify="center")
        self.said.pack()
        self.entry.bind("<Return>", lambda _: self.unlock())
        self.entry.focus_set()

    def unlock(self) -> None:
        """Try what was typed; the key is made beside the window, since that takes a moment."""
        if str(self.button["state"]) == "disabled":
            return
        typed = self.entry.get()

        def states() -> Generator[Classifier]:
            yield self._unlock(typed)

        self.work.start(states, self._keep, self._end)

    def _keep(self, classifier: Classifier) -> None:
        """The network is open."""
        self._classifier = classifier

    def _end(self, error: RunnerError | None) -> None:
        """Go on, or say what is wrong and wait."""
        if error is None and self._classifier is not None:
            self._opened(self._classifier)
            return
        self.entry.delete(0, "end")
        self.said["text"] = str(error)
        if isinstance(error, PassphraseError):
            self._failures += 1
            self._wait(waiting_seconds(self._failures), str(error))

    def _wait(self, seconds: float, error: str) -> None:
        """Count down before the next try."""
        self._enable(seconds > 0)
        if seconds > 0:
            self.said["text"] = f"{error}; next try in {seconds:.0f} s"
            self.after(1000, self._wait, seconds - 1, error)
            return
        self.said["text"] = error
        self.entry.focus_set()

    def _enable(self, busy: bool) -> None:
        """Take tries, or none."""
        for widget in (self.entry, self.button):
            widget["state"] = "disabled" if busy else "normal"
