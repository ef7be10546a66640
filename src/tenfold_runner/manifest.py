"""What belongs to a package: the digest of every file in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tenfold_runner.errors import PackageError

__all__ = ["MANIFEST", "Entry", "check_files", "files_below", "manifest_of", "read_manifest"]

MANIFEST = "manifest.json"
"""Name of the file, on top of the package; it is the only one that it does not list."""

_FORMAT = 1
_ADVICE = "get the package again"


@dataclass(frozen=True)
class Entry:
    """One file of a package.

    Attributes:
        sha256: digest, hexadecimal.
        size_bytes: its size.
    """

    sha256: str
    size_bytes: int

    def __str__(self) -> str:
        """For messages."""
        return f"{self.size_bytes:,} bytes with the SHA-256 {self.sha256[:16]}..."


def files_below(folder: Path) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it, parts joined by "/"; links are not followed."""
    for root, _, names in os.walk(folder):
        for name in names:
            yield (Path(root) / name).relative_to(folder).as_posix()


def manifest_of(folder: Path) -> str:
    """The text of the manifest of a package, whose files do not depend on the order of the disk.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     _ = (Path(name) / "a.txt").write_bytes(b"12")
        ...     json.loads(manifest_of(Path(name)))["files"]["a.txt"]["bytes"]
        2
    """
    files = {}
    for name in sorted(set(files_below(folder)) - {MANIFEST}):
        entry = _measure(folder / name)
        files[name] = {"sha256": entry.sha256, "bytes": entry.size_bytes}
    return json.dumps({"format": _FORMAT, "files": files}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> dict[str, Entry]:
    """What the manifest of a package says.

    Raises:
        PackageError: it is missing, cannot be read or is not what tenfold writes.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PackageError(f"cannot read {path}: {error.strerror or error}; {_ADVICE}") from error
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{path} is no manifest ({error}); {_ADVICE}") from error
    match content:
        case {"format": 1, "files": dict() as files}:
            return {_inside(path, name): _entry(path, name, row) for name, row in files.items()}
        case {"format": int(found)} if found != _FORMAT:
            raise PackageError(f"{path} has format {found}, this program reads {_FORMAT}; {_ADVICE}")
    raise PackageError(f"{path} is no manifest; {_ADVICE}")


def check_files(folder: Path, entries: dict[str, Entry], names: Iterable[str]) -> None:
    """Compare files of a package with what its manifest says.

    Args:
        folder: of the package.
        entries: what `read_manifest` gave.
        names: the files to look at.

    Raises:
        PackageError: one is not listed, is missing, cannot be read, or has another size or digest.
    """
    for name in names:
        if name not in entries:
            raise PackageError(f"{folder / name} is not in {MANIFEST}; {_ADVICE}")
        try:
            met = _measure(folder / name)
        except OSError as error:
            cause = error.strerror or error
            raise PackageError(f"cannot read {folder / name}: {cause}; {_ADVICE}") from error
        if met != entries[name]:
            raise PackageError(
                f"{folder / name} was changed: it has {met}, the manifest says {entries[name]}; {_ADVICE}"
            )


def _measure(path: Path) -> Entry:
    """Size and digest of a file, read in pieces."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return Entry(digest.hexdigest(), size)


def _inside(path: Path, name: str) -> str:
    """A name of the manifest, if it stays inside the package."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in name:
        raise PackageError(f"{path} names {name!r}, which is not inside the package; {_ADVICE}")
    return name


def _entry(path: Path, name: str, row: Any) -> Entry:
    """One row of the manifest, checked."""
    match row:
        case {"sha256": str(digest), "bytes": int(size)}:
            return Entry(digest, size)
    raise PackageError(f"{path} says nothing about {name!r}; {_ADVICE}")
