"""Widgets for the kinds of settings: each shows a text and tells when the user changed it."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import filedialog
from typing import Protocol

import ttkbootstrap as ttk

from tenfold.config import Setting
from tenfold.core.plan import Budget
from tenfold.studio.form import text_of
from tenfold.studio.language import _
from tenfold.studio.ui.page import flow

__all__ = ["Editor", "Told", "editor_for"]

_WIDE, _NARROW = 42, 16

Told = Callable[[str], None]
"""Called with the new text whenever the user changed a field."""


class Editor(Protocol):
    """What a user changes a setting with.

    Attributes:
        widget: to lay out.
        focus: that takes the keyboard.
    """

    widget: tk.Widget
    focus: tk.Widget

    def show(self, text: str) -> None:
        """Show a text that did not come from the user here."""


def editor_for(master: tk.Misc, setting: Setting, told: Told) -> Editor:
    """The widget for a kind of setting."""
    if setting.kind == "budget":
        return _Budget(master, told)
    if setting.kind == "flag" and setting.default is not None:
        return _Switch(master, told)
    if setting.kind in ("flag", "choice"):
        return _Choice(master, setting, told)
    if setting.kind == "path" or setting.name in ("data", "arch"):
        return _Named(master, setting, told)
    return _Text(master, _NARROW if setting.kind in ("whole", "number", "numbers") else _WIDE, told)


class _Typed(tk.StringVar):
    """The text of a field; it tells when the user changes it, not when the program does."""

    def __init__(self, master: tk.Misc, told: Told) -> None:
        """An empty one."""
        super().__init__(master)
        self._quiet = False
        self.trace_add("write", lambda *_names: None if self._quiet else told(self.get()))

    def show(self, text: str) -> None:
        """Replace it, unless it is there."""
        if self.get().strip() != text:
            self._quiet = True
            self.set(text)
            self._quiet = False


class _Text:
    """A line of text."""

    def __init__(self, master: tk.Misc, width: int, told: Told) -> None:
        """Tell of every change."""
        self._text = _Typed(master, told)
        self.widget: tk.Widget = ttk.Entry(master, textvariable=self._text, width=width)
        self.focus: tk.Widget = self.widget

    def show(self, text: str) -> None:
        """Show another text."""
        self._text.show(text)


class _Switch:
    """On or off."""

    def __init__(self, master: tk.Misc, told: Told) -> None:
        """Tell of every change."""
        self._variable = tk.BooleanVar(master)
        self.widget: tk.Widget = ttk.Checkbutton(
            master,
            variable=self._variable,
            bootstyle="round-toggle",
            command=lambda: told(text_of("", self._variable.get())),
        )
        self.focus: tk.Widget = self.widget

    def show(self, text: str) -> None:
        """Switch it."""
        self._variable.set(text == "true")


class _Choice:
    """One of several; the first may be "as the job finds out"."""

    def __init__(self, master: tk.Misc, setting: Setting, told: Told) -> None:
        """List the choices."""
        texts = ["true", "false"] if setting.kind == "flag" else list(map(str, setting.choices))
        shown = {"true": _("yes"), "false": _("no"), "": _("automatic")}
        self._texts = ([""] if setting.default is None else []) + texts
        width = max(_NARROW, *(len(text) + 2 for text in texts))
        self._box = ttk.Combobox(
            master, values=[shown.get(text, text) for text in self._texts], state="readonly", width=width
        )
        self.widget: tk.Widget = self._box
        self.focus: tk.Widget = self.widget
        self._box.bind("<<ComboboxSelected>>", lambda _event: told(self._texts[self._box.current()]))
        for wheel in ("<MouseWheel>", "<Button-4>", "<Button-5>"):
            # a wheel that scrolls the page must not change what it passes over
            self._box.bind(wheel, self._passed_on)

    def show(self, text: str) -> None:
        """Choose it."""
        self._box.current(self._texts.index(text))

    def _passed_on(self, event: tk.Event[tk.Misc]) -> str:
        """Give a turn of the wheel to what is around."""
        sequence = {4: "<Button-4>", 5: "<Button-5>"}.get(
            event.num if isinstance(event.num, int) else 0, "<MouseWheel>"
        )
        self._box.master.event_generate(sequence, delta=event.delta)
        return "break"


class _Named:
    """A name that may be typed, chosen from a list, or found on the disk."""

    def __init__(self, master: tk.Misc, setting: Setting, told: Told) -> None:
        """A box, and a button that opens the dialogue for files."""
        frame = ttk.Frame(master)
        self._text, self._setting = _Typed(master, told), setting
        self._box: ttk.Entry | ttk.Combobox = (ttk.Entry if setting.kind == "path" else ttk.Combobox)(
            frame, textvariable=self._text, width=_WIDE
        )
        self.focus: tk.Widget = self._box
        self.focus.pack(side="left", fill="x", expand=True)
        if setting.name != "arch":
            button = ttk.Button(
                frame, text=_("Browse ..."), bootstyle="secondary-outline", command=self._browse
            )
            # before the box, which is what becomes narrow where there is no room for both
            button.pack(side="right", padx=(6, 0), before=self.focus)
        self.widget: tk.Widget = frame

    def show(self, text: str) -> None:
        """Show another text."""
        self._text.show(text)

    def suggest(self, names: Sequence[str]) -> None:
        """Offer names."""
        if isinstance(self._box, ttk.Combobox):
            self._box.configure(values=list(names))

    def _browse(self) -> None:
        """Ask for a file or a folder."""
        folder = self._setting.name in ("out", "cache", "data")
        found = filedialog.askdirectory() if folder else filedialog.askopenfilename()
        if found:
            self._text.set(str(found))


class _Budget:
    """A bound on each cost; an empty one does not bind."""

    def __init__(self, master: tk.Misc, told: Told) -> None:
        """A box a cost."""
        frame = ttk.Frame(master)
        self._texts: dict[str, _Typed] = {}
        names = list(Budget(params=1).as_dict())
        titles = (_("Parameters"), _("MACs"), _("Bytes"), _("Latency, ms"))
        pairs: list[tk.Widget] = []
        boxes: list[tk.Widget] = []
        for name, title in zip(names, titles, strict=True):
            self._texts[name] = _Typed(master, lambda _text: told(self._text()))
            pairs.append(ttk.Frame(frame))
            ttk.Label(pairs[-1], text=title).pack(anchor="w")
            boxes.append(ttk.Entry(pairs[-1], textvariable=self._texts[name], width=11))
            boxes[-1].pack(anchor="w")
        flow(frame, pairs)
        self.widget: tk.Widget = frame
        self.focus: tk.Widget = boxes[0]

    def show(self, text: str) -> None:
        """Spread a text over the boxes."""
        if text == self._text():
            return
        given = dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)
        for name, one in self._texts.items():
            one.show(given.get(name, "").strip())

    def _text(self) -> str:
        """What the boxes hold together."""
        texts = {name: one.get().strip() for name, one in self._texts.items()}
        return ", ".join(f"{name}={text}" for name, text in texts.items() if text)
