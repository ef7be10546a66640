"""The data folder: private to the user of the operating system, and used by one program at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from tenfold.studio.errors import OccupiedError, StorageError

__all__ = ["DataFolder", "data_folder", "private_file"]

_LOCK = "studio.lock"
_OURS = frozenset({"studio.db", "studio.db-wal", "studio.db-shm", _LOCK, "backup", "jobs", "runs"})


def data_folder() -> Path:
    """Where the desktop program keeps its data: TENFOLD_STUDIO, else the system's folder for such things."""
    named = os.environ.get("TENFOLD_STUDIO")
    return Path(named) if named else user_data_path("tenfold", appauthor=False) / "studio"


class DataFolder:
    """A data folder that no other program uses meanwhile.

    Attributes:
        path: absolute.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = DataFolder(Path(folder) / "data")
        ...     try:
        ...         DataFolder(first.path)
        ...     except OccupiedError as error:
        ...         print(str(error).rpartition("; ")[2])
        ...     first.close()
        use its window, or close it first
    """

    def __init__(self, path: str | Path) -> None:
        """Make the folder where it is missing, make it private, and take it.

        Raises:
            OccupiedError: another program has taken it.
            StorageError: it cannot be made or made private, or belongs to someone else.
        """
        self.path = Path(path).expanduser().absolute()
        _make_private(self.path)
        self._lock = FileLock(self.path / _LOCK, timeout=0, mode=0o600)
        try:
            self._lock.acquire()
        except Timeout:
            raise OccupiedError(
                f"cannot open {self.path}: another tenfold studio works in it; "
                "use its window, or close it first"
            ) from None
        except OSError as error:
            raise _unusable(self.path, error) from error

    def close(self) -> None:
        """Leave it to others. The system does so too when the process ends in whatever way."""
        self._lock.release()


def private_file(path: Path) -> None:
    """See that nobody else may read `path`; a mode that allows more is put right.

    Raises:
        StorageError: it is no regular file, belongs to someone else, or stays open to others.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise StorageError(f"cannot use {path}: it is no regular file; move it away")
        _close_to_others(path, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _make_private(path: Path) -> None:
    """The folder, with no rights for others."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        strangers = sorted({entry.name for entry in path.iterdir()} - _OURS)
        if strangers and "studio.db" not in os.listdir(path) and _open_to_others(path):  # noqa: PTH208
            raise StorageError(
                f"cannot use {path} for private data: it holds other things ({strangers[0]}, ...) and "
                "others may read it; choose a new folder"
            )
        _close_to_others(path, 0o700)
    except OSError as error:
        raise _unusable(path, error) from error


def _open_to_others(path: Path) -> bool:
    """Whether anyone but the owner has a right to it."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def _close_to_others(path: Path, mode: int) -> None:
    """Give `path` that mode where it allows more; on Windows the profile folder's own rights hold."""
    if os.name != "posix":
        return
    if path.stat().st_uid != os.geteuid():
        raise StorageError(
            f"cannot use {path}: it belongs to another user of this computer; choose another folder"
        )
    if _open_to_others(path):
        path.chmod(mode)
    if _open_to_others(path):
        raise StorageError(
            f"cannot use {path}: this disk keeps no rights, so that others could read hashes of "
            "passwords; choose a folder on another disk"
        )


def _unusable(path: Path, error: OSError) -> StorageError:
    """What the system said."""
    return StorageError(
        f"cannot use {path}: {error.strerror or error}; put it right, or choose another "
        "folder with TENFOLD_STUDIO"
    )
