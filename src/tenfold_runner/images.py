"""From an image file to what the network takes, exactly as in the training.

The training reads its files through `eight_bits` too. A photo is turned as its camera noted (EXIF), so that
it stands as a person sees it; of animations the first picture is taken, of 16 bits the upper 8; transparency
is dropped. First the colours change, then the size: by Pillow's bilinear filter, which does not keep the
proportions.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tenfold_runner.card import Card
from tenfold_runner.errors import ImageError

__all__ = ["SUFFIXES", "Pixels", "eight_bits", "images_below", "prepared", "read_image"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What counts as an image; files of other kinds lie in many folders and are passed over."""

Pixels = NDArray[np.uint8]

_BROKEN = (
    OSError,
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    RuntimeError,
    MemoryError,
    Image.DecompressionBombError,
)

_BROKEN_NOTES = (AttributeError, SyntaxError, TypeError, ValueError, struct.error)
"""What Pillow raises on notes of cameras that are not as EXIF has them."""


def images_below(folder: Path) -> list[Path]:
    """All image files in `folder` and below it, in alphabetical order; hidden ones are passed over.

    Raises:
        ImageError: `folder` is none, cannot be read, or there is no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder; give one that holds images")
    try:
        found = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
        )
    except OSError as error:
        raise ImageError(f"{folder}: cannot be read ({error.strerror or error})") from error
    if not found:
        kinds = " ".join(sorted(suffix.removeprefix(".") for suffix in SUFFIXES))
        raise ImageError(f"{folder}: there is no image in it; these kinds are known: {kinds}")
    return found


def read_image(path: Path, card: Card) -> Pixels:
    """The pixels of a file, (channels, height, width) as the card wants them.

    Raises:
        ImageError: the file is missing, no image, broken, larger than 179 million pixels, or of 32 bits.
    """
    channels, height, width = card.shape
    try:
        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on large or slightly broken files
            with Image.open(BytesIO(data)) as opened:
                image = eight_bits(opened)
                if image is None:
                    raise ImageError(
                        f"{path}: its pixels are 32-bit numbers of unknown range; convert it to 8 bits first"
                    )
                image = image.convert("L" if channels == 1 else "RGB")
                array = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    except _BROKEN as error:
        cause = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        raise ImageError(f"{path}: cannot be read as an image ({_brief(cause)})") from None
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def eight_bits(image: Image.Image) -> Image.Image | None:
    """The picture in an opened file as a person sees it, with 8 bits a channel.

    Args:
        image: as `Image.open` gives it; it is turned in place. A note on orientation that is broken is
            passed over, as viewers do.

    Returns:
        `image`, or its upper 8 bits where it has 16; None where its pixels are 32-bit numbers, whose range
        is unknown.

    Raises:
        OSError, SyntaxError, ValueError and others of Pillow's: the file is broken.

    Example:
        >>> list(eight_bits(Image.fromarray(np.array([[255, 256, 65535]], np.uint16))).tobytes())
        [0, 1, 255]
        >>> eight_bits(Image.new("F", (1, 1))) is None
        True
    """
    image.load()
    with suppress(*_BROKEN_NOTES):  # what is raised while it writes new notes comes after the turn
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):  # Pillow itself would clip at 255
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    return None if image.mode in ("I", "F") else image


def prepared(images: Sequence[Pixels], card: Card) -> NDArray[np.float32]:
    """A batch for the network, (n, channels, height, width), with the bits torch computes in training."""
    batch = np.stack(images).astype(np.float32)
    batch /= np.float32(255)
    batch -= np.asarray(card.mean, np.float32)[:, None, None]
    batch /= np.asarray(card.std, np.float32)[:, None, None]
    return batch


def _brief(cause: str) -> str:
    """One line without the address of a buffer, which Pillow names where it knows no file."""
    line = " ".join(cause.split())
    return "its content is of no known kind" if line.startswith("cannot identify image file") else line
