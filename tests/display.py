"""A display that no one looks at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageGrab


@contextmanager
def hidden_display() -> Iterator[str]:
    """Name of an X display of 1000x700 of one's own; the programs in it are ended with it."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1000x700x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(30)


def screenshot(display: str) -> Image.Image:
    """What there is to see."""
    return ImageGrab.grab(xdisplay=display)


def pixels_of(image: Image.Image, colour: str) -> int:
    """How many pixels have a colour such as "#1f6f8b"."""
    wanted = tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return sum(count for count, met in image.convert("RGB").getcolors(1 << 24) or [] if met == wanted)
