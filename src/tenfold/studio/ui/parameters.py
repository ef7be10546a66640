"""The parameter form: pages of fields, made from the settings schema."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ttkbootstrap as ttk

from tenfold.studio.form import Field, Form, label
from tenfold.studio.language import _
from tenfold.studio.ui.fields import Editor, editor_for
from tenfold.studio.ui.page import scaled, wrap

__all__ = ["Parameters"]

_WAIT_MS = 150  # after the last key, before a form is checked
_WRAP = 620
_LONGEST_S = 0.03  # that widgets are made without a look at events


@dataclass(frozen=True)
class _Row:
    """The widgets of one setting."""

    frame: ttk.Frame
    editor: Editor
    note: ttk.Label


class Parameters(ttk.Frame):
    """A form on its pages. What is wrong stands beside its field as soon as it is typed.

    The rows of a page are made when it is first looked at, so that no moment is long.
    """

    def __init__(self, master: tk.Misc, *, asked: Callable[[str], None], changed: Callable[[], None]) -> None:
        """An empty form.

        Args:
            master: what it stands in.
            asked: opens the manual at a setting.
            changed: called after the form was changed and checked.
        """
        super().__init__(master)
        self.form = Form()
        self.expert = False
        self._asked, self._changed = asked, changed
        self._suggested: Mapping[str, Sequence[str]] = {}
        self._pages: dict[str, ttk.ScrolledFrame] = {}
        self._rows: dict[str, _Row] = {}
        self._after = ""
        self._book = ttk.Notebook(self)
        self._book.pack(fill="both", expand=True)
        self._book.bind("<<NotebookTabChanged>>", lambda _event: self.refresh())
        self._book.enable_traversal()

    def show(self, form: Form) -> None:
        """Show another form."""
        self.form = form
        self._changed_at_once()

    def show_expert(self, expert: bool) -> None:
        """Show the fields for experts, or hide them."""
        self.expert = expert
        self._changed_at_once()

    def suggest(self, names: Mapping[str, Sequence[str]]) -> None:
        """Offer names for settings."""
        self._suggested = names
        for name in self._rows:
            self._offer(name)

    def open_at(self, name: str) -> None:
        """Bring a field into view and give it the keyboard."""
        page = next((x.setting.page for x in self.form.fields(expert=True) if x.setting.name == name), "")
        if page in self._pages:
            self._book.select(self._pages[page].container)
            self.after(1, lambda: self._focus(name, page))

    def _focus(self, name: str, page: str) -> None:
        """Wait for the row of a field, then give it the keyboard."""
        if self._selected() != page:
            return
        if name not in self._rows:
            self.after(20, lambda: self._focus(name, page))
            return
        self._rows[name].editor.focus.focus_set()
        self._pages[page].yview_moveto(
            self._rows[name].frame.winfo_y() / max(1, self._pages[page].winfo_height())
        )

    def refresh(self) -> None:
        """Show what the form holds: pages and fields that apply, texts, and what is wrong."""
        fields = self.form.fields(expert=self.expert)
        self._show_pages(fields)
        page = self._selected()
        here = [field for field in fields if field.setting.page == page]
        for name in self._rows.keys() - {field.setting.name for field in here}:
            self._rows[name].frame.pack_forget()
        begin = time.perf_counter()
        for place, field in enumerate(here):
            if time.perf_counter() - begin > _LONGEST_S:
                self.after(1, self.refresh)  # the window comes first; the other rows follow
                return
            row = self._rows.get(field.setting.name) or self._made(field)
            self._show_row(row, field)
            _pack_in_place(row.frame, place, self._pages[page])

    def _changed_at_once(self) -> None:
        """Look at the form anew, now."""
        if self._after:
            self.after_cancel(self._after)
            self._after = ""
        self.refresh()
        self._changed()

    def _typed(self, name: str, text: str) -> None:
        """Take what the user typed; check it once the keys rest."""
        self.form.set(name, text)
        if self._after:
            self.after_cancel(self._after)
        self._after = self.after(_WAIT_MS, self._changed_at_once)

    def _show_pages(self, fields: Sequence[Field]) -> None:
        """A tab for each page that has fields; one with an error says so."""
        wanted = dict.fromkeys(field.setting.page for field in fields)
        for page in wanted:
            if page not in self._pages:
                self._pages[page] = ttk.ScrolledFrame(self._book, auto_hide=False, padding=12)
                self._book.add(self._pages[page].container, text=_(page))
        for page, frame in self._pages.items():
            wrong = any(field.error for field in fields if field.setting.page == page)
            state = "normal" if page in wanted else "hidden"
            text = f"{_(page)}{' !' if wrong else ''}"
            if (
                self._book.tab(frame.container, "state") != state
                or self._book.tab(frame.container, "text") != text
            ):
                self._book.tab(frame.container, state=state, text=text)

    def _selected(self) -> str:
        """The page that is looked at."""
        chosen = self._book.select()
        return next((page for page, frame in self._pages.items() if str(frame.container) == chosen), "")

    def _made(self, field: Field) -> _Row:
        """The widgets of a setting."""
        setting = field.setting
        frame = ttk.Frame(self._pages[setting.page])
        frame.columnconfigure(1, weight=1)
        title = ttk.Label(frame, text=_(label(setting.name)), width=20, anchor="w")
        title.grid(row=0, column=0, sticky="nw", pady=(5, 0))
        editor = editor_for(frame, setting, lambda text: self._typed(setting.name, text))
        # boxes that stand beside each other take a second line where there is no room
        editor.widget.grid(row=0, column=1, sticky="ew" if setting.kind == "budget" else "w")
        ask = ttk.Button(
            frame, text="?", width=2, bootstyle="secondary-link", command=lambda: self._asked(setting.name)
        )
        ask.configure(takefocus=False)  # F1 does the same from the field
        ask.grid(row=0, column=2, sticky="ne", padx=(8, 4))
        note = ttk.Label(frame, wraplength=scaled(frame, _WRAP), justify="left")
        note.grid(row=1, column=1, columnspan=2, sticky="ew", pady=(2, 0))
        wrap(note)
        editor.focus.bind("<F1>", lambda _event: self._asked(setting.name))
        self._rows[setting.name] = _Row(frame, editor, note)
        self._offer(setting.name)
        return self._rows[setting.name]

    def _offer(self, name: str) -> None:
        """Give a field the names that are known for it."""
        suggest = getattr(self._rows[name].editor, "suggest", None)
        if suggest is not None and name in self._suggested:
            suggest(self._suggested[name])

    def _show_row(self, row: _Row, field: Field) -> None:
        """Text and note of one field."""
        row.editor.show(field.text)
        text = field.error or _(field.setting.help)
        style = "danger" if field.error else "secondary"
        row.note.configure(text=_(text), bootstyle=style)


def _pack_in_place(frame: ttk.Frame, place: int, page: ttk.ScrolledFrame) -> None:
    """Put a row at its place among those that are shown."""
    shown = page.pack_slaves()
    if place < len(shown) and shown[place] is frame:
        return
    if place < len(shown):
        frame.pack(fill="x", pady=6, before=shown[place])
        frame.lower(shown[place])  # and in the order of the Tab key
    else:
        frame.pack(fill="x", pady=6)
        frame.lift()
