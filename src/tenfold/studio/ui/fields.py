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


class _Text:
    """A line of text."""

    def __init__(self, master: tk.Misc, width: int, told: Told) -> None:
        """Tell of every key."""
        self._variable = tk.StringVar(master)
        self.widget: tk.Widget = ttk.Entry(master, textvariable=self._variable, width=width)
        self.focus: tk.Widget = self.widget
        self.widget.bind("<KeyRelease>", lambda _event: told(self._variable.get()))
        self.widget.bind("<<Paste>>", lambda _event: master.after_idle(lambda: told(self._variable.get())))

    def show(self, text: str) -> None:
        """Replace it, unless it is there."""
        if self._variable.get().strip() != text:
            self._variable.set(text)


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
        self._variable = tk.StringVar(master)
        self._told, self._setting = told, setting
        self._box: ttk.Entry | ttk.Combobox = (ttk.Entry if setting.kind == "path" else ttk.Combobox)(
            frame, textvariable=self._variable, width=_WIDE
        )
        self._box.bind("<<ComboboxSelected>>", lambda _event: told(self._variable.get()))
        self._box.bind("<KeyRelease>", lambda _event: told(self._variable.get()))
        self._box.bind("<<Paste>>", lambda _event: master.after_idle(lambda: told(self._variable.get())))
        self.focus: tk.Widget = self._box
        self.focus.pack(side="left", fill="x", expand=True)
        if setting.name != "arch":
            ttk.Button(frame, text=_("Browse ..."), bootstyle="secondary-outline", command=self._browse).pack(
                side="left", padx=(6, 0)
            )
        self.widget: tk.Widget = frame

    def show(self, text: str) -> None:
        """Replace it, unless it is there."""
        if self._variable.get().strip() != text:
            self._variable.set(text)

    def suggest(self, names: Sequence[str]) -> None:
        """Offer names."""
        if isinstance(self._box, ttk.Combobox):
            self._box.configure(values=list(names))

    def _browse(self) -> None:
        """Ask for a file or a folder."""
        folder = self._setting.name in ("out", "cache", "data")
        found = filedialog.askdirectory() if folder else filedialog.askopenfilename()
        if found:
            self._variable.set(str(found))
            self._told(str(found))


class _Budget:
    """A bound on each cost; an empty one does not bind."""

    def __init__(self, master: tk.Misc, told: Told) -> None:
        """A box a cost."""
        frame = ttk.Frame(master)
        self._variables: dict[str, tk.StringVar] = {}
        names = list(Budget(params=1).as_dict())
        titles = (_("Parameters"), _("MACs"), _("Bytes"), _("Latency, ms"))
        boxes: list[tk.Widget] = []
        for place, (name, title) in enumerate(zip(names, titles, strict=True)):
            self._variables[name] = tk.StringVar(master)
            ttk.Label(frame, text=title).grid(row=0, column=place, sticky="w", padx=(0, 10))
            box = ttk.Entry(frame, textvariable=self._variables[name], width=11)
            box.grid(row=1, column=place, sticky="w", padx=(0, 10))
            box.bind("<KeyRelease>", lambda _event: told(self._text()))
            box.bind("<<Paste>>", lambda _event: master.after_idle(lambda: told(self._text())))
            boxes.append(box)
        self.widget: tk.Widget = frame
        self.focus: tk.Widget = boxes[0]

    def show(self, text: str) -> None:
        """Spread a text over the boxes."""
        if text == self._text():
            return
        given = dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)
        for name, variable in self._variables.items():
            variable.set(given.get(name, "").strip())

    def _text(self) -> str:
        """What the boxes hold together."""
        texts = {name: variable.get().strip() for name, variable in self._variables.items()}
        return ", ".join(f"{name}={text}" for name, text in texts.items() if text)
