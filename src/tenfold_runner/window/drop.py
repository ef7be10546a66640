"""Files that are dragged from elsewhere and dropped on the window."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["take_files"]


def take_files(widget: tk.Widget, take: Callable[[Sequence[Path]], None]) -> bool:
    """Let files be dropped on `widget` and on all that is in it.

    Tk itself takes none; its extension tkdnd does, which comes with tkinterdnd2.

    Args:
        widget: where to drop.
        take: told the paths.

    Returns:
        Whether files can be dropped: not where tkinterdnd2 is not installed, or knows nothing of this system.
    """
    try:
        from tkinterdnd2 import DND_FILES, TkinterDnD  # noqa: PLC0415  a plain folder may be without

        TkinterDnD._require(
            widget.winfo_toplevel()
        )  # so its manual has it for windows that are there already
    except (ImportError, RuntimeError):
        return False

    def dropped(event: Any) -> str:
        take([Path(name) for name in widget.tk.splitlist(event.data)])
        return str(event.action)

    target: Any = widget  # tkinterdnd2 gives widgets these methods
    target.drop_target_register(DND_FILES)
    target.dnd_bind("<<Drop>>", dropped)
    return True
