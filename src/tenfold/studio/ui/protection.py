"""The wish that a passphrase protects a package, and the passphrase, typed twice."""

from __future__ import annotations

import tkinter as tk

import ttkbootstrap as ttk

from tenfold.packaging.passphrase import check_passphrase
from tenfold.studio.language import _
from tenfold.studio.ui.login import HIDDEN

__all__ = ["Protection"]


class Protection(ttk.Frame):
    """A switch, and two fields that are there while it is on.

    Attributes:
        wanted: whether it is on.
        first: the passphrase.
        again: the same once more.
    """

    def __init__(self, master: tk.Misc) -> None:
        """Off."""
        super().__init__(master)
        self.wanted = tk.BooleanVar(self)
        ttk.Checkbutton(
            self, text=_("Protect the network with a passphrase"), variable=self.wanted, command=self.obey
        ).pack(anchor="w", pady=4)
        self._fields = ttk.Frame(self)
        self.first, self.again = self._row(_("Passphrase")), self._row(_("Once more"))
        note = _(
            "Whoever has forgotten it cannot open the package. It is handed to the job and kept nowhere."
        )
        ttk.Label(self._fields, text=note, bootstyle="secondary").pack(anchor="w")

    def obey(self) -> None:
        """Show the fields, or hide and empty them."""
        if self.wanted.get():
            self._fields.pack(fill="x", padx=(22, 0))
        else:
            self._fields.pack_forget()
            self.clear()

    def passphrase(self) -> str:
        """What was typed twice.

        Raises:
            ExportError: the two differ, or no package takes it.
        """
        return check_passphrase(self.first.get(), self.again.get())

    def clear(self) -> None:
        """Forget it."""
        for field in (self.first, self.again):
            field.delete(0, "end")

    def _row(self, title: str) -> ttk.Entry:
        """A field that hides what is typed."""
        row = ttk.Frame(self._fields)
        row.pack(fill="x", pady=4)
        ttk.Label(row, text=title, width=14).pack(side="left")
        field = ttk.Entry(row, width=32, show=HIDDEN)
        field.pack(side="left")
        return field
