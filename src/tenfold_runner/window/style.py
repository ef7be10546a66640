"""Colours of the window, in one place."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk

__all__ = ["FIRST", "GROUND", "INK", "OTHERS", "TROUGH", "dress"]

GROUND, INK, TROUGH, FIRST, OTHERS = "#f6f8f9", "#1c2830", "#e1e8eb", "#1f6f8b", "#8fb8c6"
_LINE = "#c6d1d6"


def dress(root: tk.Tk) -> None:
    """Give all widgets of a window these colours."""
    root.configure(background=GROUND)
    style = ttk.Style(root)
    style.theme_use("clam")
    style.configure(".", background=GROUND, foreground=INK, bordercolor=_LINE, lightcolor=GROUND)
    style.configure("TButton", background="white", padding=(10, 5), focuscolor=OTHERS)
    style.map("TButton", background=[("disabled", GROUND), ("active", TROUGH)])
    style.configure("Treeview", background="white", fieldbackground="white", rowheight=24)
    style.configure("Treeview.Heading", background=TROUGH, relief="flat", padding=(4, 4))
    style.configure("TProgressbar", background=FIRST, troughcolor=TROUGH)
