"""A program in one file that knows its own digest: the last bytes of the file say what the others are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tenfold_runner.errors import PackageError

__all__ = ["check_seal", "seal"]

_MARK = b"tenfold-seal-1\n\0"
_DIGEST = 32


def seal(path: Path) -> None:
    """Append mark and SHA-256 to a file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "program"
        ...     _ = path.write_bytes(b"code")
        ...     seal(path)
        ...     check_seal(path)
        ...     len(path.read_bytes())
        52
    """
    digest = hashlib.sha256(path.read_bytes()).digest()
    with path.open("ab") as file:
        file.write(_MARK + digest)


def check_seal(path: Path) -> None:
    """Compare a file with the digest at its end.

    Raises:
        PackageError: it has none, or was changed.
    """
    data = path.read_bytes()
    body, mark, digest = (
        data[: -len(_MARK) - _DIGEST],
        data[-len(_MARK) - _DIGEST : -_DIGEST],
        data[-_DIGEST:],
    )
    if mark != _MARK or hashlib.sha256(body).digest() != digest:
        raise PackageError(f"{path} was changed after it was made; get the package again")
