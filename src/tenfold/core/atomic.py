"""Files that are there whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tenfold.core.errors import RunError

__all__ = ["remove_leftovers", "replacing", "write_bytes", "write_text"]


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` at the end of the block.

    A crash at any moment, and an exception in the block, leave the old file or the new one, never a part: a
    temporary file in the same folder is written, flushed and renamed; then the folder is flushed.

    Raises:
        RunError: the disk is full, the folder is missing or not writable, or the block met an OSError; an old
            file is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write `data` to `path` whole or not at all, in the way and with the errors of `replacing`.

    Returns:
        `path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_bytes(Path(folder) / "a.bin", b"12").read_bytes()
        b'12'
    """
    with replacing(path) as file:
        file.write(data)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8, newlines as they are, in the way and with the errors of `write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))


def remove_leftovers(folder: str | Path) -> None:
    """Remove the temporary files of writers that were killed; nobody may be writing into `folder` meanwhile.

    Raises:
        RunError: one cannot be removed.
    """
    for temporary in Path(folder).glob(".*.tmp"):
        try:
            temporary.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot remove {temporary}: {error.strerror or error}; make its folder writable"
            ) from error


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    if os.name == "nt":  # Windows cannot open folders; its rename is journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
