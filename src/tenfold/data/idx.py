"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset

__all__ = ["holds_idx", "read_idx", "read_idx_file"]

_PREFIXES = {"train": ("train",), "test": ("t10k", "test")}
_UBYTE = 0x08


def holds_idx(folder: Path) -> bool:
    """Whether `folder` has the training images of an IDX data set."""
    return _find(folder, "train", "images-idx3-ubyte") is not None


def read_idx(folder: Path, *, classes: tuple[str, ...] | None = None) -> tuple[Dataset, Dataset]:
    """Read `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two of `t10k` (or `test`).

    Args:
        folder: holds the four files, each plain or with `.gz`.
        classes: names; None names each class by its number.

    Returns:
        (train, test), grey (n, 1, height, width).

    Raises:
        DataError: a file is missing, is no IDX file of that kind or cut short, or images and labels
            differ in number.
    """
    parts = {split: _read_split(folder, split) for split in ("train", "test")}
    if classes is None:
        count = 1 + max(int(labels.max()) for _, labels in parts.values())
        classes = tuple(str(number) for number in range(count))
    train, test = (Dataset(images[:, None], labels.long(), classes) for images, labels in parts.values())
    return train, test


def read_idx_file(path: Path, *, axes: int) -> Tensor:
    """Read one IDX file of unsigned bytes.

    Args:
        path: plain, or gzipped if it ends in `.gz`.
        axes: number of axes it must have: 3 for images, 1 for labels.

    Returns:
        The numbers, uint8, with the shape that the file states; at least one.

    Raises:
        DataError: the magic number is another one, the length does not fit, or gzip is broken.

    Notes:
        Y. LeCun, "The MNIST database": two zero bytes, a type (8 for unsigned bytes), the number of axes,
        each axis as a big-endian 32-bit integer, the numbers in row-major order.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); get the file again") from None
    magic = bytes([0, 0, _UBYTE, axes])
    header = 4 + 4 * axes
    if content[:4] != magic or len(content) < header:
        raise DataError(
            f"{path}: starts with {content[:4].hex(' ') or 'nothing'}, an IDX file of "
            f"{axes} axes of bytes with {magic.hex(' ')}; get the file again"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, offset=4))
    if len(content) - header != prod(shape) or not prod(shape):
        raise DataError(f"{path}: {len(content) - header} bytes for shape {shape}; get the file again")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def _read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (n, height, width) and labels (n,) of one split, uint8."""
    tensors = []
    for kind, axes in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1)):
        file = _find(folder, split, kind)
        if file is None:
            name = f"{_PREFIXES[split][0]}-{kind}"
            raise DataError(f"{folder}: no {name} or {name}.gz; put all four IDX files into this folder")
        tensors.append(read_idx_file(file, axes=axes))
    images, labels = tensors
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {len(images)} {split} images but {len(labels)} labels; get the files again"
        )
    return images, labels


def _find(folder: Path, split: str, kind: str) -> Path | None:
    """The file of this split and kind, in one of the spellings in use."""
    names = (
        f"{prefix}-{spelling}{suffix}"
        for prefix in _PREFIXES[split]
        for spelling in (kind, kind.replace("-idx", ".idx"))
        for suffix in ("", ".gz")
    )
    return next((folder / name for name in names if (folder / name).is_file()), None)
