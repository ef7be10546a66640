"""The page of accounts: one's own password, and for an administrator all accounts and the record."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import ttkbootstrap as ttk

from tenfold.studio.accounts import User
from tenfold.studio.audit import Entry
from tenfold.studio.errors import AccountError
from tenfold.studio.language import _
from tenfold.studio.sessions import Session
from tenfold.studio.ui.login import PasswordForm, change_password
from tenfold.studio.ui.page import Page, buttons, fit_columns, flow, heading, wrap
from tenfold.studio.wording import clock_time

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = ["AccountsPage"]

_USERS = {"name": 150, "kind": 120, "state": 250, "login": 150, "created": 150}
_RECORD = {"time": 150, "name": 150, "what": 260, "outcome": 260}
_LINES = 500

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class _Seen:
    """What an administrator sees, as it was at one moment."""

    users: tuple[User, ...]
    entries: tuple[Entry, ...]
    minutes: float
    at_once: int


class AccountsPage(Page):
    """Accounts.

    Attributes:
        users: the list of accounts; a row is named by the name of its account. Only for an administrator.
        given: shows the password that was made for someone.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """A tab for each part."""
        super().__init__(master, window)
        heading(self, _("Accounts"))
        book = ttk.Notebook(self)
        book.pack(fill="both", expand=True)
        book.enable_traversal()
        self._administrator = window.user is not None and window.user.administrator
        if self._administrator:
            self._make_users(book)
            self._make_record(book)
            self._make_settings(book)
        self._make_own(book)

    def show(self, **asked: Any) -> None:  # noqa: ARG002 nothing can be asked for
        """Bring the lists up to date."""
        if self._administrator:
            self.ask_store(self._look, self._fill)

    def add(self, name: str, *, administrator: bool) -> None:
        """Make an account, and show its first password."""
        self._made(lambda: self.store.accounts.add(self.session, name, administrator=administrator), name)

    def _reset(self) -> None:
        """Give the chosen account a new password."""
        name = self._chosen()
        self._made(lambda: self.store.accounts.reset(self.session, name), name)

    def _made(self, work: Callable[[], str], name: str) -> None:
        """Show the password that `work` gives."""

        def show(password: str) -> None:
            self.given.configure(state="normal")
            self.given.delete(0, "end")
            self.given.insert(0, password)
            self.given.configure(state="readonly")
            self._note.pack(fill="x")
            self.given.pack(anchor="w")
            self._note.configure(
                text=_(
                    "First password of {name}; it is shown only now and must be changed at the login:"
                ).format(name=name)
            )
            self._new_name.set("")
            self.show()

        self.ask_store(work, show)

    def _enable(self, enabled: bool) -> None:
        """Let the chosen account log in again, or no more."""
        name, accounts = self._chosen(), self.store.accounts
        act = accounts.enable if enabled else accounts.disable
        self.ask_store(lambda: act(self.session, name), lambda _done: self.show())

    def _chosen(self) -> str:
        """Name of the chosen account.

        Raises:
            AccountError: none is chosen.
        """
        chosen = self.users.selection()
        if not chosen:
            raise AccountError(_("Choose an account in the list first."))
        return str(chosen[0])

    def _look(self) -> _Seen:
        """All that is shown; in the thread of the store."""
        accounts, session = self.store.accounts, self.session
        lists = (accounts.users(session), accounts.audit(session, _LINES))
        return _Seen(*lists, accounts.idle_minutes, self.store.queue.at_once)

    def _fill(self, seen: _Seen) -> None:
        """Show the lists."""
        users, entries = seen.users, seen.entries
        chosen = self.users.selection()
        self.users.delete(*self.users.get_children())
        for user in users:
            kind = _("administrator") if user.administrator else _("user")
            state = _("active") if user.active else _("disabled")
            state += f", {_('must change the password')}" if user.must_change else ""
            times = (clock_time(user.last_login) or _("never"), clock_time(user.created))
            self.users.insert("", "end", iid=user.name, values=(user.name, kind, state, *times))
        self.users.selection_set(*(row for row in chosen if self.users.exists(row)))
        self._record.delete(*self._record.get_children())
        for entry in entries:
            self._record.insert(
                "", "end", values=(clock_time(entry.time), entry.name, entry.what, entry.outcome)
            )
        self._minutes.set(f"{seen.minutes:g}")
        self._at_once.set(str(seen.at_once))

    def _make_users(self, book: ttk.Notebook) -> None:
        """The list of accounts, and what can be done with them."""
        frame = ttk.Frame(book, padding=10)
        book.add(frame, text=_("All accounts"))
        self._make_new(frame)
        row = ttk.Frame(frame)
        row.pack(side="bottom", fill="x", pady=8)
        buttons(
            row,
            (_("New password"), "secondary-outline", self._reset),
            (_("Disable"), "danger-outline", lambda: self._enable(False)),
            (_("Enable"), "secondary-outline", lambda: self._enable(True)),
        )
        titles = (_("Name"), _("Kind"), _("State"), _("Last login"), _("Created"))
        self.users = _table(frame, dict(zip(_USERS.items(), titles, strict=True)))

    def _make_new(self, frame: ttk.Frame) -> None:
        """The line with which an account is made, and the password that comes of it."""
        given = ttk.Frame(frame)
        given.pack(side="bottom", fill="x")
        self._note = ttk.Label(given, bootstyle="secondary", justify="left")
        wrap(self._note)
        self.given = ttk.Entry(given, width=26, state="readonly", font="TkFixedFont")
        row = ttk.Frame(frame)
        row.pack(side="bottom", fill="x", pady=(4, 8))
        self._new_name = tk.StringVar(self)
        self._kind = tk.BooleanVar(self)
        title = ttk.Label(row, text=_("New account"))
        entry = ttk.Entry(row, textvariable=self._new_name, width=22)
        kind = ttk.Checkbutton(row, text=_("administrator"), variable=self._kind)
        add = ttk.Button(
            row,
            text=_("Add"),
            bootstyle="primary",
            command=lambda: self.add(self._new_name.get(), administrator=self._kind.get()),
        )
        flow(row, [title, entry, kind, add])
        entry.bind("<Return>", lambda _event: add.invoke())

    def _make_settings(self, book: ttk.Notebook) -> None:
        """What holds for all."""
        frame = ttk.Frame(book, padding=10)
        book.add(frame, text=_("Settings"))
        self._minutes, self._at_once = tk.StringVar(self), tk.StringVar(self)
        rows = (
            (_("Lock after minutes"), self._minutes, self._save_minutes),
            (_("Jobs at once"), self._at_once, self._save_at_once),
        )
        for number, (title, variable, save) in enumerate(rows):
            ttk.Label(frame, text=title).grid(row=number, column=0, sticky="w", padx=(0, 12), pady=6)
            entry = ttk.Entry(frame, textvariable=variable, width=8)
            entry.grid(row=number, column=1, padx=(0, 8))
            entry.bind("<Return>", _pressing(save))
            ttk.Button(frame, text=_("Set"), bootstyle="secondary-outline", command=save).grid(
                row=number, column=2
            )

    def _save_minutes(self) -> None:
        """How long a screen stays open."""
        minutes = _number(self._minutes.get(), float)
        self.ask_store(lambda: self.store.accounts.set_idle_minutes(self.session, minutes), self._saved)

    def _save_at_once(self) -> None:
        """How many jobs run."""
        count = _number(self._at_once.get(), int)
        self.ask_store(lambda: self.store.queue.set_at_once(self.session, count), self._saved)

    def _saved(self, _done: None) -> None:
        """Say so."""
        self.window.tell(_("Saved."))

    def _make_record(self, book: ttk.Notebook) -> None:
        """What was done by whom."""
        frame = ttk.Frame(book, padding=10)
        book.add(frame, text=_("Record"))
        titles = (_("Time"), _("Who"), _("What"), _("Outcome"))
        self._record = _table(frame, dict(zip(_RECORD.items(), titles, strict=True)))

    def _make_own(self, book: ttk.Notebook) -> None:
        """One's own password."""
        frame = ttk.Frame(book, padding=10)
        book.add(frame, text=_("Change password"))
        names = {"old": _("Present password"), "new": _("New password"), "again": _("New password again")}
        self.own = PasswordForm(
            frame, names, _("Change password"), lambda: change_password(self.window, self.own, self._changed)
        )
        self.own.pack(anchor="w")

    def _changed(self, _session: Session) -> None:
        """Say so."""
        self.own.say(_("The password is changed."), "success")


def _table(master: tk.Misc, columns: dict[tuple[str, int], str]) -> ttk.Treeview:
    """A table with a scroll bar: (name, width) of a column -> title."""
    frame = ttk.Frame(master)
    frame.pack(fill="both", expand=True)
    table = ttk.Treeview(
        frame, columns=[name for name, _width in columns], show="headings", height=6, selectmode="browse"
    )
    for (name, _width), title in columns.items():
        table.heading(name, text=title, anchor="w")
        table.column(name, minwidth=60, anchor="w")
    fit_columns(table, dict(columns.keys()))
    bar = ttk.Scrollbar(frame, command=table.yview)
    table.configure(yscrollcommand=bar.set)
    bar.pack(side="right", fill="y")
    table.pack(fill="both", expand=True)
    return table


def _number(text: str, kind: Callable[[str], _Number]) -> _Number:
    """A number that was typed.

    Raises:
        AccountError: it is none of that kind.
    """
    try:
        return kind(text)
    except ValueError:
        raise AccountError(_("{text} is no number; type one.").format(text=repr(text))) from None


def _pressing(save: Callable[[], None]) -> Callable[[object], None]:
    """The same for a key."""
    return lambda _event: save()
