"""The main screen: a sidebar, a page beside it, and a line for messages."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import ttkbootstrap as ttk

from tenfold.studio.language import LANGUAGES, _
from tenfold.studio.ui.accounts import AccountsPage
from tenfold.studio.ui.jobs import JobsPage
from tenfold.studio.ui.manual import ManualPage
from tenfold.studio.ui.new_job import NewJobPage
from tenfold.studio.ui.package import PackagePage
from tenfold.studio.ui.page import TITLE_FONT, Page, tab_as_seen, wrap
from tenfold.studio.ui.results import ResultsPage

if TYPE_CHECKING:
    from tenfold.studio.ui.window import Window

__all__ = ["PAGES", "Shell"]

PAGES: dict[str, tuple[str, type[Page]]] = {
    "new": ("New job", NewJobPage),
    "jobs": ("Jobs", JobsPage),
    "results": ("Results", ResultsPage),
    "package": ("Package", PackagePage),
    "manual": ("Manual", ManualPage),
    "accounts": ("Accounts", AccountsPage),
}
"""Key -> title and class; the n-th is opened by Ctrl and n."""

_TOLD_MS = 12_000


class Shell(ttk.Frame):
    """What someone who is logged in sees.

    Attributes:
        pages: those that were opened so far, by key.
        page: key of the one that is open.
    """

    def __init__(self, window: Window) -> None:
        """The sidebar; pages are made when they are first opened."""
        super().__init__(window)
        self.window = window
        self.pages: dict[str, Page] = {}
        self.page = ""
        self._buttons: dict[str, ttk.Button] = {}
        self._after = ""
        self._bar = ttk.Frame(self, padding=(10, 14))
        self._bar.pack(side="left", fill="y")
        ttk.Separator(self, orient="vertical").pack(side="left", fill="y")
        self._told = ttk.Label(self, padding=(18, 4), justify="left", anchor="w")
        self._told.pack(side="bottom", fill="x")
        wrap(self._told, sides=36)
        self._told.bind("<Button-1>", lambda _event: self.tell("", ""))
        self._body = ttk.Frame(self)
        self._body.pack(side="top", fill="both", expand=True)
        self._fill_bar()
        tab_as_seen(self._bar)
        self._bind_keys()
        self.open("new")

    def open(self, key: str, /, **asked: Any) -> None:
        """Show a page."""
        if self.page in self.pages:
            self.pages[self.page].leave()
            self.pages[self.page].pack_forget()
        if key not in self.pages:
            self.pages[key] = PAGES[key][1](self._body, self.window)
            tab_as_seen(self.pages[key])
        self.page = key
        for name, button in self._buttons.items():
            button.configure(bootstyle="primary" if name == key else "secondary-ghost")
        self.pages[key].pack(fill="both", expand=True)
        self.pages[key].show(**asked)

    def kept(self) -> list[tuple[str, dict[str, Any]]]:
        """The form, then the open page: what `open` is given to show them again."""
        return [(key, self.pages[key].kept()) for key in dict.fromkeys(("new", self.page))]

    def refresh(self) -> None:
        """Show the open page anew."""
        self.pages[self.page].show()

    def tick(self) -> None:
        """Bring the open page up to date."""
        self.pages[self.page].tick()

    def jobs_changed(self, numbers: tuple[int, ...]) -> None:
        """Say which jobs have ended or begun."""
        if self.page != "jobs":
            which = ", ".join(map(str, numbers))
            self.tell(_("News of job {numbers}: see Jobs.").format(numbers=which), "primary")

    def tell(self, text: str, style: str) -> None:
        """Say something for a while; an error stays until it is clicked or another message comes."""
        if self._after:
            self.after_cancel(self._after)
            self._after = ""
        self._told.configure(text=" ".join(text.split()), bootstyle=style or "default")
        if text and style != "danger":
            self._after = self.after(_TOLD_MS, lambda: self.tell("", ""))

    @property
    def told(self) -> str:
        """What the line at the bottom says."""
        return str(self._told.cget("text"))

    def destroy(self) -> None:
        """Let the open page end what it has begun."""
        if self._after:
            self.after_cancel(self._after)
        if self.page in self.pages:
            self.pages[self.page].leave()
        super().destroy()

    def _fill_bar(self) -> None:
        """The buttons of the sidebar."""
        ttk.Label(self._bar, text="tenfold", font=TITLE_FONT, bootstyle="primary").pack(
            anchor="w", padx=8, pady=(0, 14)
        )
        for key, (title, _page) in PAGES.items():
            button = ttk.Button(self._bar, text=_(title), width=12, command=partial(self.open, key))
            button.pack(fill="x", pady=2)
            self._buttons[key] = button
        user = self.window.user
        others = {code: name for code, name in LANGUAGES.items() if code != self.window.remembered.language}
        acts: list[tuple[str, Callable[[], None]]] = [
            (_("Log out"), self.window.log_out),
            (_("Lock"), self.window.lock),
            (_("Light or dark"), self._other_mode),
            *((name, partial(self.window.use_language, code)) for code, name in others.items()),
        ]
        for text, act in acts:
            ttk.Button(self._bar, text=text, bootstyle="secondary-link", command=act).pack(
                side="bottom", fill="x"
            )
        ttk.Label(self._bar, text=user.name if user else "", bootstyle="secondary", anchor="center").pack(
            side="bottom", fill="x", pady=(6, 0)
        )

    def _bind_keys(self) -> None:
        """Ctrl and a digit for a page, F1 for the manual."""
        top = self.winfo_toplevel()
        for number, key in enumerate(PAGES, start=1):
            top.bind(f"<Control-Key-{number}>", partial(self._pressed, key))
        top.bind("<F1>", self._help)

    def _pressed(self, key: str, _event: tk.Event[tk.Misc]) -> None:
        """Ctrl and the digit of a page."""
        self._open_if_shown(key)

    def _open_if_shown(self, key: str) -> None:
        """Open a page, unless the screen is locked."""
        if self.winfo_exists() and self.winfo_ismapped():
            self.open(key)

    def _help(self, _event: tk.Event[tk.Misc]) -> None:
        """Open the manual, unless a field has opened it at itself."""
        if self.page != "manual":
            self._open_if_shown("manual")

    def _other_mode(self) -> None:
        """From light to dark, or back."""
        self.window.use_mode("dark" if self.window.remembered.mode == "light" else "light")
