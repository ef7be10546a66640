"""Image files to one array, in parallel."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tenfold.core.errors import DataError
from tenfold_runner.images import Pixels, eight_bits

__all__ = ["decode_all"]

_CHUNK = 256  # files a task, so that the pool's own cost vanishes beside small files
_GREY = ("1", "L", "LA", "La")
_BROKEN = (
    OSError,
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,  # a zip member packed in a way Python cannot read
    RuntimeError,  # an encrypted zip member
    Image.DecompressionBombError,
)


def decode_all(
    names: Sequence[str],
    read: Callable[[str], bytes],
    *,
    resize: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Tensor:
    """Decode many image files.

    Args:
        names: at least one; what `read` takes and errors name.
        read: the bytes of a file; called from several threads.
        resize: (height, width); None where all have one size already.
        channels: 1 or 3; None takes 1 if all images are grey, else 3.

    Returns:
        (n, channels, height, width), uint8, contiguous.

    Raises:
        DataError: a file is no image or broken, or sizes differ and `resize` is None.
    """
    one = partial(_decode_chunk, read=read, resize=resize, channels=channels)
    chunks = [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            arrays = [array for chunk in pool.map(one, chunks) for array in chunk]
        finally:
            pool.shutdown(cancel_futures=True)  # after an error the other files need not be read
    _check_sizes(names, arrays)
    depth = max(array.shape[2] for array in arrays)
    stacked = np.empty((len(arrays), depth, *arrays[0].shape[:2]), np.uint8)
    for place, array in zip(stacked, arrays, strict=True):
        place[...] = array.transpose(2, 0, 1)  # grey is repeated where others have colour
    return torch.from_numpy(stacked)


def _decode_chunk(
    names: Sequence[str],
    *,
    read: Callable[[str], bytes],
    resize: tuple[int, int] | None,
    channels: int | None,
) -> list[Pixels]:
    """Decode some files, each to (height, width, 1 or 3)."""
    return [_decode(name, read, resize, channels) for name in names]


def _decode(
    name: str, read: Callable[[str], bytes], resize: tuple[int, int] | None, channels: int | None
) -> Pixels:
    """Decode one file to (height, width, 1 or 3)."""
    try:
        with Image.open(BytesIO(read(name))) as opened:
            image = eight_bits(opened)
            if image is None:
                raise DataError(
                    f"{name}: its pixels are 32-bit numbers of unknown range; convert it to 8 bits first"
                )
            grey = channels == 1 or (channels is None and image.mode in _GREY)
            image = image.convert("L" if grey else "RGB")
            if resize is not None:
                image = image.resize((resize[1], resize[0]), Image.Resampling.BILINEAR)
            array = np.asarray(image)
    except _BROKEN as error:
        raise DataError(f"{name}: cannot be read as an image ({error}); repair or remove the file") from None
    return array[:, :, None] if array.ndim == 2 else array


def _check_sizes(names: Sequence[str], arrays: Sequence[Pixels]) -> None:
    """Refuse images of several sizes, naming two of them."""
    first = arrays[0].shape[:2]
    for name, array in zip(names, arrays, strict=True):
        if array.shape[:2] != first:
            raise DataError(
                f"images differ in size: {names[0]} is {first[0]}x{first[1]} (height x width), "
                f"{name} is {array.shape[0]}x{array.shape[1]}; give resize=(height, width)"
            )
