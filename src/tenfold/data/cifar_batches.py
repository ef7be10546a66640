"""The python batches of CIFAR-10 and CIFAR-100: pickles, read without ever running what they ask for."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset

__all__ = ["holds_cifar_batches", "read_cifar_batches"]

_TEN = ([f"data_batch_{number}" for number in range(1, 6)], "test_batch", "batches.meta")
_HUNDRED = (["train"], "test", "meta")

_BROKEN = (  # what a pickle of nonsense raises inside the unpickler
    pickle.UnpicklingError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    MemoryError,
    OverflowError,
    SystemError,
    struct.error,
)


def holds_cifar_batches(folder: Path) -> bool:
    """Whether `folder` has the python batches of CIFAR-10 or CIFAR-100."""
    return any((folder / layout[0][0]).is_file() for layout in (_TEN, _HUNDRED))


def read_cifar_batches(folder: Path) -> tuple[Dataset, Dataset]:
    """Read `data_batch_1` to `data_batch_5` and `test_batch` of CIFAR-10, or `train` and `test` of CIFAR-100.

    Of CIFAR-100 the fine labels are taken.

    Args:
        folder: what the archive of the data set unpacks to.

    Returns:
        (train, test), RGB (n, 3, 32, 32). Classes are named by `batches.meta` or `meta`, or by number
        where that is missing.

    Raises:
        DataError: a file is missing, is no such batch, or asks to run code.
    """
    train_names, test_name, meta_name = _TEN if (folder / _TEN[0][0]).is_file() else _HUNDRED
    parts = [_read_batches(folder, names) for names in (train_names, [test_name])]
    count = 1 + max(int(labels.max()) for _, labels in parts)
    classes = _class_names(folder / meta_name) or tuple(str(number) for number in range(count))
    train, test = (
        Dataset(torch.from_numpy(images), torch.from_numpy(labels), classes) for images, labels in parts
    )
    return train, test


def _read_batches(folder: Path, names: Iterable[str]) -> tuple[Any, Any]:
    """Images (n, 3, 32, 32), uint8, and labels (n,), int64, of some batch files."""
    images, labels = [], []
    for name in names:
        batch = _read_pickle(folder / name)
        rows = batch.get("data")
        marks = np.asarray(batch.get("labels", batch.get("fine_labels", ())))
        if (
            not isinstance(rows, np.ndarray)
            or rows.dtype != np.uint8
            or rows.shape != (len(marks), 3072)
            or not len(marks)
        ):
            raise DataError(
                f"{folder / name}: holds no rows of 3,072 bytes with a label each; get the file again"
            )
        if not np.issubdtype(marks.dtype, np.integer):
            raise DataError(f"{folder / name}: its labels are no whole numbers; get the file again")
        images.append(rows.reshape(-1, 3, 32, 32))
        labels.append(marks.astype(np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _class_names(path: Path) -> tuple[str, ...]:
    """The names in a meta file; none where there is no such file."""
    if not path.is_file():
        return ()
    meta = _read_pickle(path)
    names = meta.get("label_names", meta.get("fine_label_names", ()))
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _read_pickle(path: Path) -> dict[str, Any]:
    """One batch file as a mapping with text keys (Python 2 wrote bytes)."""
    try:
        content = _ArrayUnpickler(BytesIO(path.read_bytes()), encoding="bytes").load()
    except FileNotFoundError:
        raise DataError(f"{path}: missing; put all batch files into this folder") from None
    except _BROKEN as error:
        raise DataError(f"{path}: no CIFAR batch ({error}); get the file again") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, not a CIFAR batch; get the file again")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()
    }


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 spells bytes; the one codec it uses."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it uses the codec {encoding!r}")
    return text.encode("latin1")


# numpy's own two functions that rebuild an array, taken from an array so that no private module is named
_REBUILD: Callable[..., Any] = np.empty(0).__reduce__()[0]  # type: ignore[assignment]
_FROM_BUFFER: Callable[..., Any] = np.empty(0).__reduce_ex__(5)[0]  # type: ignore[assignment]

_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, text and numpy arrays; every other name is refused."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """The few functions that rebuild an array, never an import."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return _ALLOWED[module, name]
