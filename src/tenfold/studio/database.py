"""The database of the desktop program: opened whole and of this version, backed up, or refused with a way on.

SQLite by the standard library: four tables need no mapper, and its backup call is at hand. The file is
`studio.db` in the data folder, in WAL mode, with foreign keys. Each start that succeeds leaves a copy in
`backup/studio.db`; one that raises the version leaves the old one beside it, as `backup/studio-v1.db`.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tenfold.core.atomic import write_bytes
from tenfold.core.errors import RunError
from tenfold.studio.errors import StorageError
from tenfold.studio.folder import DataFolder, private_file
from tenfold.studio.schema import APPLICATION, MIGRATIONS

__all__ = ["Database", "open_database", "restore_backup"]

_NAME = "studio.db"
_BACKUP = "backup"
_TIMEOUT_S = 2.0  # longer, and a window would seem to hang


class Database:
    """An open database. Threads may share it; each transaction has it alone.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use a connection that begins no transaction by itself."""
        self.path = path
        self._connection = connection
        self._alone = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes hold together: all at the end of the block, or none after an error.

        Raises:
            StorageError: another program keeps it locked, the disk is full, or the file is damaged.
        """
        with self._alone, _explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def read(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """All rows of a query.

        Raises:
            StorageError: as `transaction`.
        """
        with self._alone, _explained(self.path):
            return self._connection.execute(statement, values).fetchall()

    def setting(self, name: str, default: str) -> str:
        """What was stored under `name`."""
        rows = self.read("SELECT value FROM setting WHERE name = ?", name)
        return str(rows[0]["value"]) if rows else default

    def back_up(self, name: str = _NAME) -> Path:
        """Put a copy of what is stored now into the folder `backup`, whole or not at all; returns its path.

        Raises:
            StorageError: it cannot be written.
        """
        folder = self.path.parent / _BACKUP
        with self._alone, _explained(self.path), _making(folder) as part:
            with closing(sqlite3.connect(part)) as copy:
                self._connection.backup(copy)
            write_bytes(folder / name, part.read_bytes())
        private_file(folder / name)
        return folder / name

    def close(self) -> None:
        """Close the file."""
        with self._alone:
            self._connection.close()


def open_database(folder: DataFolder, *, timeout_s: float = _TIMEOUT_S) -> Database:
    """The database in a data folder, brought to this version, and backed up.

    It is made where there is neither a database nor a backup of one.

    Args:
        folder: private, and taken by this program.
        timeout_s: how long a lock of another program is waited for, each time.

    Raises:
        StorageError: it is damaged, gone, not tenfold's, of a later version, locked, or cannot be written.
            Nothing is made anew in its place; the message says how to go back to the backup.
    """
    path = folder.path / _NAME
    if not path.exists() and not path.is_symlink():
        _make(path)
    private_file(path)
    if not path.stat().st_size:  # SQLite takes it for a new one
        raise _damaged(path, "it is empty")
    with _explained(path):
        connection = _connect(path, timeout_s)
    try:
        database = Database(path, connection)
        _check(database, connection)
        with _explained(path):
            connection.execute("PRAGMA journal_mode = WAL")  # writes: not before the file is known to be ours
        _migrate(database, connection)
        database.back_up()
    except BaseException:
        connection.close()
        raise
    return database


def restore_backup(folder: DataFolder) -> Path:
    """Put the backup in the place of the database, which is moved aside; returns where that is now.

    Raises:
        StorageError: there is no backup, or it cannot be copied; all is as it was.
    """
    path, backup = folder.path / _NAME, folder.path / _BACKUP / _NAME
    if not backup.is_file():
        raise StorageError(f"there is no backup {backup}; move {path} away to begin anew")
    aside = path.with_name(f"{_NAME}.damaged-{datetime.now():%Y%m%d-%H%M%S}")
    with _explained(path):
        content = backup.read_bytes()
        for suffix in ("-wal", "-shm", ""):  # a log that is left would be applied to the backup
            old = path.with_name(_NAME + suffix)
            if old.exists():
                old.replace(aside.with_name(aside.name + suffix))
        write_bytes(path, content)
    private_file(path)
    return aside


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A connection to a file that is there."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # an old hash does not stay in free pages
        connection.execute("PRAGMA synchronous = FULL")  # a failed login outlives a power cut
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """A new database, there whole or not at all, unless one was lost."""
    backup = path.parent / _BACKUP / _NAME
    if backup.exists():
        raise StorageError(f"{path} is gone, and accounts are not made anew in silence; {_way_back(path)}")
    with _explained(path), _making(path.parent) as part:
        with closing(sqlite3.connect(part, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute("BEGIN")
            _apply(connection, 0)
            connection.execute("COMMIT")
        write_bytes(path, part.read_bytes())


def _check(database: Database, connection: sqlite3.Connection) -> None:
    """Refuse what is damaged, foreign or newer."""
    path = database.path
    with _explained(path):
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        lost = connection.execute("PRAGMA foreign_key_check").fetchall()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if found != ["ok"] or lost:
        raise _damaged(path, found[0] if found != ["ok"] else "rows that refer to nothing")
    if application != APPLICATION:
        raise StorageError(f"{path} is a database of another program; move it away or choose another folder")
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{path} is of version {version}, and this tenfold knows {len(MIGRATIONS)}: a later one made it; "
            "install that one"
        )


def _migrate(database: Database, connection: sqlite3.Connection) -> None:
    """Bring an older database to this version, in one transaction, after a backup of its own."""
    with _explained(database.path):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < len(MIGRATIONS):
        database.back_up(f"studio-v{version}.db")
        with database.transaction():
            _apply(connection, version)


def _apply(connection: sqlite3.Connection, version: int) -> None:
    """The statements that lead from `version` to the present one."""
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    """The path of a file in the making, in a private folder of its own; what a kill left of others goes."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in folder.glob(".making-*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as made:
        yield Path(made) / _NAME


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the system, as ours."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # a mistake in this program
    except sqlite3.Error as error:
        raise _refusal(path, str(error)) from error
    except OSError as error:
        raise StorageError(
            f"cannot use {path}: {error.strerror or error}; put it right and try again"
        ) from error
    except RunError as error:
        raise StorageError(str(error)) from error


def _refusal(path: Path, met: str) -> StorageError:
    """What to do about an error of SQLite's."""
    if "locked" in met or "busy" in met:
        return StorageError(f"{path} is locked by another program; close what has it open, and try again")
    if "full" in met or "disk I/O" in met:
        return StorageError(f"cannot write {path}: {met}; free space and try again")
    if "readonly" in met or "unable to open" in met:
        return StorageError(f"cannot write {path}: {met}; give yourself the right to write there")
    return _damaged(path, met)


def _damaged(path: Path, met: str) -> StorageError:
    """A file that is not to be trusted."""
    return StorageError(
        f"{path} is damaged ({' '.join(met.split())}); nothing was changed; {_way_back(path)}"
    )


def _way_back(path: Path) -> str:
    """What can be done about a database that is lost."""
    backup = path.parent / _BACKUP / _NAME
    try:
        made = datetime.fromtimestamp(backup.stat().st_mtime)
    except OSError:
        return f"there is no backup {backup}: move {path} away to begin with new accounts (runs stay)"
    return (
        f"the backup of {made:%Y-%m-%d %H:%M} is {backup}: move {path.name}, {path.name}-wal and "
        f"{path.name}-shm away and copy it there as {path.name}"
    )
