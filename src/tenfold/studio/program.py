"""The desktop program from its start: a data folder that can be used, and a display."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tenfold.studio.errors import OccupiedError, StorageError, StudioError
from tenfold.studio.process import restore_environment
from tenfold.studio.store import Store

__all__ = ["DisplayError", "open_studio", "restore_backup"]


class DisplayError(StudioError):
    """There is no screen to open a window on, or nothing to open it with."""


def open_studio(data: Path | None = None) -> None:
    """Open the window and stay until it is closed.

    Args:
        data: data folder; None for the one of `tenfold.studio.folder.data_folder`.

    Raises:
        DisplayError: there is no display, no Tk, or the extra of this program is not installed.
        StorageError: the data folder cannot be used; see `Store`.
    """
    _check_display()
    restore_environment()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # as of a program that a shell starts in the background; jobs must hear when they are cancelled
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tenfold.studio.ui.window import Window

    try:
        store = _opened(data)
    except StorageError as error:
        if getattr(sys, "frozen", False):
            _show(error)
        raise
    window = Window(store)
    window.mainloop()


def restore_backup(data: Path | None = None) -> Path:
    """Put the database of the last start in the place of one that is broken.

    Returns:
        Where the broken one is now.

    Raises:
        StorageError: the data folder is in use, or has no backup.
    """
    return Store.restore(data)


def _opened(data: Path | None) -> Store:
    """The data folder; where its database is broken, the error says how to go back to the last start."""
    try:
        return Store(data)
    except OccupiedError:
        raise
    except StorageError as error:
        raise StorageError(
            f"{error}; where there is a backup, tenfold studio --restore puts it in its place"
        ) from None


def _show(error: StorageError) -> None:
    """Say why there is no window: who starts a bundle from the desktop sees no terminal."""
    import tkinter as tk
    from tkinter import messagebox

    root = tk.Tk()
    root.withdraw()
    messagebox.showerror("tenfold studio", str(error), parent=root)
    root.destroy()


def _check_display() -> None:
    """Refuse a machine on which no window can be opened.

    Raises:
        DisplayError: why not.
    """
    try:
        import tkinter as tk

        import ttkbootstrap  # noqa: F401 the window needs it
    except ImportError as error:
        raise DisplayError(
            f"tenfold studio cannot be opened: {error}; install tenfold[studio], and Python's tkinter "
            "(python3-tk on Debian and Ubuntu)"
        ) from None
    try:
        tk.Tk().destroy()
    except tk.TclError as error:
        raise DisplayError(
            f"tenfold studio needs a screen, and there is none ({error}): start it in a desktop session, or "
            "use the other commands of tenfold"
        ) from None
