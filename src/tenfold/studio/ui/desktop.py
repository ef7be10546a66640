"""Folders and pages, opened with what the desktop has for them."""

from __future__ import annotations

import os
import subprocess
import sys
import webbrowser
from pathlib import Path

from tenfold.studio.errors import StudioError

__all__ = ["open_folder", "open_page"]


def open_folder(path: Path) -> None:
    """Show a folder in the desktop's file manager; may wait for that, so call it in a thread.

    Raises:
        StudioError: it does not exist, or there is nothing to open it with.
    """
    if not path.is_dir():
        raise StudioError(f"cannot open {path}: there is no such folder; it was moved or removed")
    if sys.platform == "win32":
        os.startfile(path)
        return
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        subprocess.run([opener, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise StudioError(f"cannot open {path}: {opener}: {error.strerror}; open it by hand") from None


def open_page(path: Path) -> None:
    """Show an HTML file in the browser.

    Raises:
        StudioError: it does not exist, or there is no browser.
    """
    if not path.is_file():
        raise StudioError(f"cannot open {path}: there is no such file; it was moved or removed")
    if not webbrowser.open(path.absolute().as_uri()):
        raise StudioError(f"no browser was found; open {path} by hand")
