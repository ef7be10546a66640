"""The ways in: first start, login, lock, and a password that must be changed."""

from __future__ import annotations

import math
import tkinter as tk
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import ttkbootstrap as ttk

from tenfold.core.errors import TenfoldError
from tenfold.studio.errors import SessionError, ThrottledError
from tenfold.studio.language import LANGUAGES, _
from tenfold.studio.sessions import Session
from tenfold.studio.ui.page import TITLE_FONT, scaled

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = [
    "HIDDEN",
    "ChangeScreen",
    "FirstScreen",
    "LockScreen",
    "LoginScreen",
    "PasswordForm",
    "change_password",
]

HIDDEN = "•"
"""What is seen of each sign of a password."""

_WIDTH = 36
_WRAP = 380


class PasswordForm(ttk.Frame):
    """Fields below each other, what is wrong with them, and the button that the Return key presses.

    Attributes:
        fields: the entries by name.
        message: what is wrong.
        button: that does it.
    """

    def __init__(self, master: tk.Misc, names: dict[str, str], act: str, do: Callable[[], None]) -> None:
        """An empty form.

        Args:
            master: what it stands in.
            names: of the fields -> what stands above them; all but "name" hide what is typed.
            act: text of the button.
            do: what it does.
        """
        super().__init__(master)
        self.button = ttk.Button(self, text=act, bootstyle="primary", command=do, default="active")
        self.fields: dict[str, ttk.Entry] = {}
        for name, title in names.items():
            ttk.Label(self, text=title).pack(anchor="w", pady=(8, 2))
            entry = ttk.Entry(self, width=_WIDTH, show="" if name == "name" else HIDDEN)
            entry.pack(fill="x")
            entry.bind("<Return>", lambda _event: self.button.invoke())
            entry.bind("<KP_Enter>", lambda _event: self.button.invoke())
            self.fields[name] = entry
        self.message = ttk.Label(self, bootstyle="danger", wraplength=scaled(self, _WRAP), justify="left")
        self.message.pack(anchor="w", fill="x", pady=(8, 0))
        self.button.lift()  # made first, it would come before the fields in the order of the Tab key
        self.button.pack(anchor="e", pady=(8, 0))

    def text(self, name: str) -> str:
        """What stands in a field."""
        return self.fields[name].get()

    def clear(self) -> None:
        """Forget all that was hidden."""
        for name, entry in self.fields.items():
            if name != "name":
                entry.delete(0, "end")

    def say(self, text: str, style: str = "danger") -> None:
        """Say what is wrong, or how it went."""
        self.message.configure(text=text, bootstyle=style)

    def hold(self, held: bool) -> None:
        """Take no second press while the first is looked at."""
        self.button.configure(state="disabled" if held else "normal")


class _Screen(ttk.Frame, ABC):
    """A card in the middle of the window."""

    title: ClassVar[str]
    lead: ClassVar[str]

    def __init__(self, window: Window) -> None:
        """Lay out what all screens have."""
        super().__init__(window)
        self.window = window
        self.card = ttk.Frame(self, padding=24)
        self.card.place(relx=0.5, rely=0.45, anchor="center")
        ttk.Label(self.card, text="tenfold studio", font=TITLE_FONT, bootstyle="primary").pack(anchor="w")
        ttk.Label(self.card, text=_(self.title), font="TkCaptionFont").pack(anchor="w", pady=(8, 2))
        self.lead_label = ttk.Label(
            self.card, text=_(self.lead), wraplength=scaled(self, _WRAP), bootstyle="secondary"
        )
        self.lead_label.pack(anchor="w")
        self._languages()

    def make_form(self, names: dict[str, str], act: str) -> PasswordForm:
        """The fields of the card."""
        form = PasswordForm(self.card, names, act, self.press)
        form.pack(fill="x")
        form.hold(False)
        return form

    @abstractmethod
    def press(self) -> None:
        """What the button does."""

    def _languages(self) -> None:
        """The choice of the language, at the bottom."""
        row = ttk.Frame(self)
        row.place(relx=0.5, rely=0.98, anchor="s")
        for code, name in LANGUAGES.items():
            style = "primary-link" if code == self.window.remembered.language else "secondary-link"
            ttk.Button(row, text=name, bootstyle=style, command=partial(self.window.use_language, code)).pack(
                side="left"
            )


class FirstScreen(_Screen):
    """The first start: no account is there, and none with a known password ever is."""

    title = "Create the administrator"
    lead = (
        "This is the first start on this data folder. The administrator adds the other accounts and sees the "
        "runs of all."
    )

    def __init__(self, window: Window) -> None:
        """Ask for a name, and a password twice."""
        super().__init__(window)
        names = {"name": _("Name"), "password": _("Password"), "again": _("Password again")}
        self.form = self.make_form(names, _("Create account"))
        self.form.fields["name"].focus_set()

    def press(self) -> None:
        """Make the account."""
        name, password = self.form.text("name"), self.form.text("password")
        if password != self.form.text("again"):
            self.form.say(_("The two passwords differ; type both again."))
            return
        self.form.hold(True)
        accounts = self.window.store.accounts
        self.window.stored.run(
            lambda: accounts.create_administrator(name, password), self.window.enter, self._refused
        )

    def _refused(self, error: TenfoldError) -> None:
        """Say why not."""
        self.form.hold(False)
        self.form.say(str(error))


class LoginScreen(_Screen):
    """Name and password."""

    title = "Log in"
    lead = ""

    def __init__(self, window: Window) -> None:
        """Ask for both; the last name is there already."""
        super().__init__(window)
        self.form = self.make_form({"name": _("Name"), "password": _("Password")}, _("Log in"))
        self.form.fields["name"].insert(0, window.remembered.name)
        self.form.fields["password" if window.remembered.name else "name"].focus_set()

    def press(self) -> None:
        """Try them."""
        name, password = self.form.text("name"), self.form.text("password")
        self.form.say("")
        self.form.hold(True)
        self.window.stored.run(
            lambda: self.window.store.accounts.login(name, password), self.window.enter, self.refused
        )

    def refused(self, error: TenfoldError) -> None:
        """Say why not; after too many failures, count the seconds down."""
        if not self.winfo_exists():
            return
        self.form.clear()
        if isinstance(error, ThrottledError):
            self._count_down(math.ceil(error.wait_s))
            return
        self.form.hold(False)
        self.form.say(str(error))
        self.form.fields["password"].focus_set()

    def _count_down(self, seconds: int) -> None:
        """Open the button again when a try would be looked at."""
        if not self.winfo_exists():
            return
        if seconds <= 0:
            self.form.hold(False)
            self.form.say("")
            return
        self.form.hold(True)
        self.form.say(str(ThrottledError(seconds)))
        self.after(1000, lambda: self._count_down(seconds - 1))


class LockScreen(LoginScreen):
    """The password of the one who is there, or a way out."""

    title = "Locked"
    lead = "Jobs go on. Give your password to go on yourself."

    def __init__(self, window: Window) -> None:
        """Ask for the password alone."""
        super().__init__(window)
        name = self.form.fields["name"]
        name.delete(0, "end")
        name.insert(0, window.user.name if window.user else "")
        name.configure(state="readonly")
        self.form.button.configure(text=_("Unlock"))
        ttk.Button(self.card, text=_("Log out"), bootstyle="secondary-link", command=window.log_out).pack(
            anchor="e"
        )
        self.form.fields["password"].focus_set()

    def press(self) -> None:
        """Try it."""
        password, session = self.form.text("password"), self.window.session
        if session is None:
            return
        self.form.say("")
        self.form.hold(True)

        def unlocked() -> Session:
            self.window.store.accounts.unlock(session, password)
            return session

        self.window.stored.run(unlocked, self.window.enter, self.refused)

    def refused(self, error: TenfoldError) -> None:
        """Say why not; a session that is over leads back to the login."""
        if isinstance(error, SessionError):
            self.window.show_login()
            return
        super().refused(error)


class ChangeScreen(_Screen):
    """A password that an administrator has set must be changed before anything else."""

    title = "Choose a new password"
    lead = "An administrator has set your password. Choose one that only you know."

    def __init__(self, window: Window) -> None:
        """Ask for the old one, and a new one twice."""
        super().__init__(window)
        names = {"old": _("Present password"), "new": _("New password"), "again": _("New password again")}
        self.form = self.make_form(names, _("Change password"))
        self.form.fields["old"].focus_set()

    def press(self) -> None:
        """Change it."""
        change_password(self.window, self.form, self._changed)

    def _changed(self, session: Session) -> None:
        """Go on."""
        self.window.enter(session)


def change_password(window: Window, form: PasswordForm, then: Callable[[Session], None]) -> None:
    """Change one's password to what stands in a form with the fields old, new and again."""
    old, new, session = form.text("old"), form.text("new"), window.session
    if session is None:
        return
    if new != form.text("again"):
        form.say(_("The two passwords differ; type both again."))
        return
    form.hold(True)

    def changed() -> Session:
        window.store.accounts.change_password(session, old, new)
        return session

    def done(session: Session) -> None:
        form.hold(False)
        form.clear()
        then(session)

    def refused(error: TenfoldError) -> None:
        form.hold(False)
        form.say(str(error))

    window.stored.run(changed, done, refused)
