"""What a finished package weighs, and what it asks of a system."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tenfold_runner.manifest import MANIFEST, files_below

__all__ = ["Measured", "measure"]

_PARTS = 8
_ELF = b"\x7fELF"
_LIBRARY = (_ELF, b"MZ", b"\xcf\xfa\xed\xfe")  # on Linux, Windows and macOS
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)(?:\.\d+)?\0")


@dataclass(frozen=True)
class Measured:
    """A package in numbers.

    Attributes:
        files: how many there are.
        size_bytes: of all of them.
        largest: (name, bytes) of the largest parts; those of a program in one file are what it unpacks.
        sha256: digest of the manifest, and with it of every file.
        glibc: (major, minor) of the oldest glibc that its Linux programs run on; None if they need none.
    """

    files: int
    size_bytes: int
    largest: tuple[tuple[str, int], ...]
    sha256: str
    glibc: tuple[int, int] | None


def measure(folder: Path) -> Measured:
    """Look at every file of the package in `folder`."""
    names = sorted(files_below(folder))
    parts: dict[str, int] = {}
    glibc: list[tuple[int, int]] = []
    for name in names:
        for part, data in _unpacked(folder / name):
            parts[f"{name}: {part}" if part else name] = len(data)
            if data.startswith(_ELF):
                glibc += [(int(major), int(minor)) for major, minor in _GLIBC.findall(data)]
    largest = sorted(parts.items(), key=lambda item: -item[1])[:_PARTS]
    return Measured(
        files=len(names),
        size_bytes=sum((folder / name).stat().st_size for name in names),
        largest=tuple(largest),
        sha256=hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
        glibc=max(glibc, default=None),
    )


def _unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file under an empty name, or what a program that unpacks itself holds."""
    data = path.read_bytes()
    inside = list(_archive(path))
    if any(content.startswith(_LIBRARY) for _, content in inside):
        yield from inside
    else:
        yield "", data


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files in a program that PyInstaller made; none in others."""
    try:
        from PyInstaller.archive.readers import ArchiveReadError, CArchiveReader  # noqa: PLC0415  an extra
    except ImportError:
        return
    try:
        archive = CArchiveReader(str(path))
    except ArchiveReadError:
        return
    for name in archive.toc:
        yield name, archive.extract(name)
