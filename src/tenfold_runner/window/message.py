"""A message where there is no terminal. It needs nothing but Tk, for it may be about a changed library."""

from __future__ import annotations

import tkinter as tk
from tkinter import messagebox

__all__ = ["tell"]


def tell(text: str) -> None:
    """Show `text` until it is read; nothing happens where there is no display."""
    try:
        root = tk.Tk()
    except tk.TclError:
        return
    root.withdraw()
    messagebox.showerror("Error", text, parent=root)
    root.destroy()
