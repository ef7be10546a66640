"""The window of the desktop program: who may look at what, and the clock of all that is live."""

from __future__ import annotations

import tkinter as tk
import tkinter.font as tkfont
from contextlib import suppress
from types import TracebackType
from typing import Any

import ttkbootstrap as ttk

from tenfold.core.errors import TenfoldError
from tenfold.studio.accounts import User
from tenfold.studio.errors import SessionError
from tenfold.studio.language import use_language
from tenfold.studio.sessions import Session
from tenfold.studio.store import Store
from tenfold.studio.ui.background import Background
from tenfold.studio.ui.login import ChangeScreen, FirstScreen, LockScreen, LoginScreen
from tenfold.studio.ui.page import TITLE_FONT, scaled
from tenfold.studio.ui.remembered import Remembered
from tenfold.studio.ui.shell import Shell

__all__ = ["Window"]

_TICK_MS = 500
_SIZE = (1180, 760)
_SMALLEST = (560, 400)
_THEMES = {"light": "bootstrap-light", "dark": "bootstrap-dark"}


class Window(ttk.App):
    """The one window.

    Attributes:
        store: accounts and jobs.
        session: of who has logged in; None for no one.
        user: the same as an account.
        remembered: what the next start finds as this one leaves it.
        stored: the thread in which accounts and jobs are asked, one thing after another.
        slow: threads for all else that takes long.
    """

    def __init__(self, store: Store) -> None:
        """Show the login, or on the first start the making of the administrator."""
        self.remembered = Remembered.load(store.path)
        use_language(self.remembered.language)
        super().__init__(title="tenfold studio", theme=_THEMES[self.remembered.mode])
        self.store = store
        self.session: Session | None = None
        self.user: User | None = None
        self.shell: Shell | None = None
        self._screen: ttk.Frame | None = None
        self._kept: list[tuple[str, dict[str, Any]]] = []  # what the next shell shows
        self._polling = False
        self.stored = Background(self, self.refuse, threads=1)
        self.slow = Background(self, self.refuse, threads=3)
        self._make_styles()
        self._place()
        self._bind_keys()
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.show_login()
        self._after = self.after(_TICK_MS, self._tick)

    def report_callback_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Show what went wrong on purpose; let anything else be seen as what it is."""
        if isinstance(error, TenfoldError):
            self.refuse(error)
            return
        super().report_callback_exception(kind, error, trace)
        self.refuse(TenfoldError(f"{type(error).__name__}: {error}"))

    def show_login(self) -> None:
        """Show the way in."""
        self._forget_shell()
        self.session = self.user = None
        self._kept = []
        self._show(FirstScreen(self) if self.store.accounts.is_new else LoginScreen(self))

    def enter(self, session: Session) -> None:
        """Let the owner of a session in; one with a given password chooses another one first.

        Raises:
            SessionError: the session is over.
        """
        self.session = session
        self.user = self.store.accounts.user(session)
        self.remembered.name = self.user.name
        if self.user.must_change:
            self._show(ChangeScreen(self))
            return
        self._forget_screen()
        if self.shell is None:
            self.shell = Shell(self)
            for page, asked in self._kept:
                self.open(page, **asked)
        self.shell.pack(fill="both", expand=True)
        self.shell.refresh()

    def lock(self) -> None:
        """Hide everything until the password is given again."""
        if self.session is None or self.session.over or isinstance(self._screen, LockScreen):
            return
        self.session.lock()
        self._close_dialogues()
        if self.shell is not None:
            self.shell.pack_forget()
        self._show(LockScreen(self))

    def log_out(self) -> None:
        """End the session."""
        if self.session is not None:
            with suppress(SessionError):
                self.store.accounts.logout(self.session)
        self._close_dialogues()
        self.show_login()

    def open(self, page: str, /, **asked: Any) -> None:
        """Open a page of the main window."""
        if self.shell is not None:
            self.shell.open(page, **asked)

    def tell(self, text: str, style: str = "success") -> None:
        """Say something in the line at the bottom."""
        if self.shell is not None:
            self.shell.tell(text, style)

    def refuse(self, error: TenfoldError) -> None:
        """Say what could not be done; a session that is over ends here."""
        if isinstance(error, SessionError) and self.session is not None:
            if self.session.over:
                self.show_login()
            elif self.session.locked:
                self.lock()
        self.tell(str(error), "danger")

    def use_mode(self, mode: str) -> None:
        """Light or dark."""
        self.remembered.mode = mode
        self.theme_use(_THEMES[mode])
        self._make_styles()
        self.event_generate("<<ModeChanged>>")

    def use_language(self, code: str) -> None:
        """Show all texts anew in another language: the same page, the form as it is filled in."""
        if code == self.remembered.language:
            return
        self.remembered.language = code
        use_language(code)
        kept = self.shell.kept() if self.shell is not None else self._kept
        self._forget_shell()
        if self.session is None:
            self.show_login()
            return
        self._kept = kept
        if self.session.locked:
            self._show(LockScreen(self))
        else:
            self.enter(self.session)

    def close(self) -> None:
        """Leave; jobs go on."""
        self.remembered.zoomed = bool(self.attributes("-zoomed")) if self.winsys == "x11" else False
        if not self.remembered.zoomed:
            self.remembered.geometry = self.geometry()
        self.remembered.save(self.store.path)
        self.after_cancel(self._after)
        self._forget_shell()
        self.slow.close(wait=False)
        self.stored.close(wait=True)
        self.store.close()
        self.destroy()

    def _show(self, screen: ttk.Frame) -> None:
        """Show a screen in the place of the one before."""
        self._forget_screen()
        self._screen = screen
        screen.pack(fill="both", expand=True)

    def _forget_screen(self) -> None:
        """Take the screen away that is not the main one."""
        if self._screen is not None:
            self._screen.destroy()
            self._screen = None

    def _forget_shell(self) -> None:
        """Take the main screen away, with all that it shows of a user."""
        if self.shell is not None:
            self.shell.destroy()
            self.shell = None

    def _close_dialogues(self) -> None:
        """Close what stands beside the window."""
        for child in self.winfo_children():
            if isinstance(child, tk.Toplevel):
                child.destroy()

    def _tick(self) -> None:
        """Let jobs begin and end, look at the lock, and bring what is shown up to date."""
        self._after = self.after(_TICK_MS, self._tick)
        if not self._polling:
            self._polling = True
            self.stored.run(self.store.queue.poll, self._polled, self._poll_failed)
        if self.session is None or isinstance(self._screen, LockScreen):
            return
        if self.session.locked:
            self.lock()
        elif self.shell is not None and self._screen is None:
            self.shell.tick()

    def _polled(self, changed: tuple[int, ...]) -> None:
        """Show what has become of jobs."""
        self._polling = False
        if changed and self.shell is not None:
            self.shell.jobs_changed(changed)

    def _poll_failed(self, error: TenfoldError) -> None:
        """Say so; the next call tries again."""
        self._polling = False
        self.refuse(error)

    def _make_styles(self) -> None:
        """A font for titles, and tables whose rows have room."""
        plain = tkfont.nametofont("TkDefaultFont", root=self)
        if TITLE_FONT not in tkfont.names(self):
            # kept: Tk forgets a font with its object
            self._title = tkfont.Font(self, name=TITLE_FONT, family=plain.actual()["family"], weight="bold")
        self._title.configure(size=plain.actual()["size"] + 4)
        self.style.configure("Treeview", rowheight=round(1.7 * plain.metrics("linespace")))

    def _place(self) -> None:
        """Where the window was, as far as the screen has room."""
        screen = (self.winfo_screenwidth(), self.winfo_screenheight())
        width, height = (min(scaled(self, size), room) for size, room in zip(_SIZE, screen, strict=True))
        self.minsize(min(_SMALLEST[0], screen[0]), min(_SMALLEST[1], screen[1]))
        self.geometry(f"{width}x{height}")
        with suppress(tk.TclError, ValueError):
            size, x, y = self.remembered.geometry.replace("-", "+").split("+")
            width, height = (min(int(part), room) for part, room in zip(size.split("x"), screen, strict=True))
            left, top = min(int(x), screen[0] - width), min(int(y), screen[1] - height)
            self.geometry(f"{width}x{height}+{max(0, left)}+{max(0, top)}")
        if self.remembered.zoomed and self.winsys == "x11":
            self.attributes("-zoomed", True)

    def _bind_keys(self) -> None:
        """Activity, and the shortcuts that hold everywhere."""
        for event in ("<KeyPress>", "<ButtonPress>", "<Motion>", "<MouseWheel>"):
            self.bind_all(event, self._touched, "+")
        self.bind_class("Treeview", "<FocusIn>", _find_row, add="+")
        self.bind_class("TButton", "<space>", _press)  # ttkbootstrap leaves only Return
        self.bind_all("<Control-q>", lambda _event: self.close())
        self.bind_all("<Control-l>", lambda _event: self.lock())

    def _touched(self, _event: object) -> None:
        """Someone is there."""
        if self.session is not None:
            self.session.touch()


def _find_row(event: tk.Event[tk.Misc]) -> None:
    """Give the keyboard a row of the table it comes to: without one, Tk lets no key move."""
    table = event.widget
    if isinstance(table, ttk.Treeview) and not table.focus():
        for row in (table.selection() or table.get_children())[:1]:
            table.focus(row)


def _press(event: tk.Event[tk.Misc]) -> None:
    """Press the button that has the keyboard."""
    if isinstance(event.widget, ttk.Button):
        event.widget.invoke()
