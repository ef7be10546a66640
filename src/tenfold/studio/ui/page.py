"""What all pages of the main window have in common."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import ttkbootstrap as ttk

from tenfold.core.errors import TenfoldError

if TYPE_CHECKING:
    from tenfold.studio.sessions import Session
    from tenfold.studio.store import Store
    from tenfold.studio.ui.window import Window

__all__ = [
    "TITLE_FONT",
    "Page",
    "buttons",
    "fit_columns",
    "flow",
    "heading",
    "keep_split",
    "scaled",
    "scroll_by_keys",
    "select_row",
    "tab_as_seen",
    "wrap",
]

TITLE_FONT = "StudioTitle"
"""Name of the font of titles; the window makes it."""

_GAP = 8  # pixels between two buttons
_EDGES = 4  # pixels at the sides of a label
_NARROWEST = 200  # pixels; a text that is broken at less is none

_PIXELS_A_POINT = 96 / 72

_Result = TypeVar("_Result")


class Page(ttk.Frame):
    """A page of the main window.

    Attributes:
        window: that it is in.
    """

    def __init__(self, master: tk.Misc, window: Window) -> None:
        """Make the widgets; `show` fills them."""
        super().__init__(master, padding=(18, 14, 18, 10))
        self.window = window

    def show(self, **asked: Any) -> None:
        """Called whenever the page is opened, with what it shall show."""

    def tick(self) -> None:
        """Called twice a second while it is open and no one is locked out."""

    def leave(self) -> None:
        """Called when another page is opened."""

    def kept(self) -> dict[str, Any]:
        """What `show` is given so that a page made anew, in another language, shows the same."""
        return {}

    @property
    def session(self) -> Session:
        """Of the user."""
        session = self.window.session
        if session is None:
            raise AssertionError  # pages exist between a login and a logout
        return session

    @property
    def store(self) -> Store:
        """Accounts and jobs."""
        return self.window.store

    def ask_store(
        self,
        work: Callable[[], _Result],
        then: Callable[[_Result], None],
        fail: Callable[[TenfoldError], None] | None = None,
    ) -> None:
        """Have accounts or jobs do something beside the window; then use it if the page is still there."""
        self.window.stored.run(work, lambda result: self._if_there(then, result), fail)

    def ask(
        self,
        work: Callable[[], _Result],
        then: Callable[[_Result], None],
        fail: Callable[[TenfoldError], None] | None = None,
    ) -> None:
        """The same for what is slow and touches neither accounts nor jobs."""
        self.window.slow.run(work, lambda result: self._if_there(then, result), fail)

    def _if_there(self, then: Callable[[_Result], None], result: _Result) -> None:
        """Use a result."""
        if self.winfo_exists():
            then(result)


def scaled(widget: tk.Misc, pixels: float) -> int:
    """Pixels of this screen for those of one that has 96 to the inch; never fewer."""
    return round(pixels * max(1.0, float(widget.tk.call("tk", "scaling")) / _PIXELS_A_POINT))


def wrap(label: ttk.Label, *, sides: int = _EDGES) -> None:
    """Break the text of a label, which fills its place, at its width less the padding of both `sides`."""
    label.bind(
        "<Configure>", lambda event: label.configure(wraplength=max(_NARROWEST, event.width - sides)), add="+"
    )


def tab_as_seen(widget: tk.Misc) -> None:
    """Let the Tab key go from top to bottom: what is packed at the bottom is made first, but comes last."""
    low = [child for child in widget.pack_slaves() if child.pack_info()["side"] == "bottom"]
    for child in reversed(low):
        tk.Misc.tkraise(child)  # a canvas has a method of that name for what is drawn
    for inside in widget.winfo_children():
        tab_as_seen(inside)


def scroll_by_keys(book: ttk.Notebook, frame: ttk.ScrolledFrame) -> None:
    """Let the keys for up and down scroll `frame` while its tab in `book` has the keyboard."""

    def scroll(number: int, what: str, _event: object) -> None:
        if frame.winfo_viewable():
            frame.yview_scroll(number, what)

    for key, number, what in (
        ("<Up>", -1, "units"),
        ("<Down>", 1, "units"),
        ("<Prior>", -1, "pages"),
        ("<Next>", 1, "pages"),
    ):
        book.bind(key, partial(scroll, number, what), add="+")


def keep_split(panes: ttk.Panedwindow, splits: dict[str, float], name: str) -> None:
    """Divide two panes as `splits` has it, also when their room changes, and note there how the user does."""
    across = str(panes.cget("orient")) == "horizontal"

    def room() -> int:
        return panes.winfo_width() if across else panes.winfo_height()

    def divide(_event: object) -> None:
        if name in splits:
            panes.sashpos(0, round(splits[name] * room()))

    def note(_event: object) -> None:
        splits[name] = min(0.99, max(0.01, panes.sashpos(0) / room()))

    panes.bind("<Configure>", divide, add="+")
    panes.bind("<ButtonRelease-1>", note, add="+")


def heading(master: tk.Misc, text: str, lead: str = "") -> ttk.Frame:
    """The title of a page, with a line below it."""
    frame = ttk.Frame(master)
    ttk.Label(frame, text=text, font=TITLE_FONT, name="title").pack(anchor="w")
    if lead:
        note = ttk.Label(frame, text=lead, bootstyle="secondary", justify="left")
        note.pack(anchor="w", fill="x", pady=(2, 0))
        wrap(note)
    frame.pack(fill="x", pady=(0, 10))
    return frame


def buttons(master: ttk.Frame, *commands: tuple[str, str, Callable[[], object]]) -> list[ttk.Button]:
    """Buttons in a row: (text, style, what they do)."""
    made = []
    for text, style, command in commands:
        button = ttk.Button(master, text=text, bootstyle=style, command=command)
        made.append(button)
    flow(master, made)
    return made


def flow(frame: ttk.Frame, widgets: Sequence[tk.Widget]) -> None:
    """Lay widgets out in a row, in as many as the width of their frame needs."""

    def arrange(width: int) -> None:
        y = 0
        for row in _rows(widgets, width):
            high, x = max(widget.winfo_reqheight() for widget in row), 0
            for widget in row:
                widget.place(x=x, y=y + high // 2, anchor="w")
                x += widget.winfo_reqwidth() + _GAP
            y += high + _GAP // 2
        frame.configure(height=y)

    frame.bind("<Configure>", lambda event: arrange(event.width), add="+")
    for widget in widgets:  # one that becomes wider moves those after it
        widget.bind("<Configure>", lambda _event: arrange(frame.winfo_width()), add="+")
    arrange(10_000)


def _rows(widgets: Sequence[tk.Widget], width: int) -> list[list[tk.Widget]]:
    """As many widgets a row as there is room for; not the columns of a grid, which all rows share."""
    rows: list[list[tk.Widget]] = []
    room = 0
    for widget in widgets:
        wanted = widget.winfo_reqwidth()
        if not rows or wanted > room:
            rows.append([])
            room = width
        rows[-1].append(widget)
        room -= wanted + _GAP
    return rows


def fit_columns(table: ttk.Treeview, widths: Mapping[str, int]) -> None:
    """Show as many columns of a table, from the left, as it is wide enough for; widths as of `scaled`."""
    here = {name: scaled(table, width) for name, width in widths.items()}

    def fit(width: int) -> None:
        room, shown = width, list[str]()
        for name, wanted in here.items():
            room -= wanted
            if room < 0 and shown:
                break
            shown.append(name)
        if tuple(table.cget("displaycolumns")) != tuple(shown):
            table.configure(displaycolumns=shown)

    for name, width in here.items():
        table.column(name, width=width)
    table.configure(displaycolumns=list(here))
    table.bind("<Configure>", lambda event: fit(event.width), add="+")


def select_row(tree: ttk.Treeview, row: str) -> None:
    """Choose a row of a table, and give it the keyboard's place."""
    if tree.exists(row):
        tree.selection_set(row)
        tree.focus(row)
        tree.see(row)
