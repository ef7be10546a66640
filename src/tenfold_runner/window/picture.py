"""An image as the window shows it."""

from __future__ import annotations

import base64
import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image

from tenfold_runner.errors import ImageError
from tenfold_runner.images import eight_bits

__all__ = ["SIDE", "preview"]

SIDE = 320
"""Pixels of the longer side."""


def preview(path: Path) -> bytes:
    """A PNG of an image that was read before, in base64; small ones are enlarged without smoothing.

    Raises:
        ImageError: it is gone or was changed meanwhile.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                opened.draft("RGB", (SIDE, SIDE))
                image = (eight_bits(opened) or opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be shown ({error})") from None
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    filtered = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
    buffer = BytesIO()
    image.resize(size, filtered).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue())
