"""Displays that no one looks at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageGrab

_LASTING: list[subprocess.Popen[bytes]] = []  # whoever forgets a process that runs is warned


@dataclass(frozen=True)
class Screen:
    """An X display: its name, and the process that draws on it."""

    name: str
    pid: int


@contextmanager
def hidden_display() -> Iterator[str]:
    """Name of a display of 1000x700 for programs that the test starts; they end with it.

    Not for windows of this process: see `lasting_display`.
    """
    server, name = _start("1000x700")
    try:
        yield name
    finally:
        server.terminate()
        server.wait(30)


def lasting_display(size: str = "1000x700", *more: str) -> Screen:
    """A display for windows of this process, until it ends in whatever way, with `more` options of Xvfb.

    Not shorter: Tk keeps its connection after its last window, and ends a process whose display goes as soon
    as it looks at events again, be it in a window of another test on another display.
    """
    server, name = _start(size, *more)
    _LASTING.append(server)
    return Screen(name, server.pid)


def _start(size: str, *more: str) -> tuple[subprocess.Popen[bytes], str]:
    """Xvfb, which has to be installed, and the name of its display.

    Linux ends it with the thread that started it: the processes of pytest-xdist end without cleaning up.
    """
    reading, writing = os.pipe()
    ended = ["setpriv", "--pdeathsig", "TERM"]
    shown = ["-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp", *more]
    server = subprocess.Popen(
        [*ended, "Xvfb", *shown],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    assert number, "Xvfb did not start"
    return server, f":{number}"


def screenshot(display: str) -> Image.Image:
    """What there is to see."""
    return ImageGrab.grab(xdisplay=display)


def pixels_of(image: Image.Image, colour: str) -> int:
    """How many pixels have a colour such as "#1f6f8b"."""
    wanted = tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return sum(count for count, met in image.convert("RGB").getcolors(1 << 24) or [] if met == wanted)
