"""All that the windows stand on, opened together."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from argon2 import PasswordHasher

from tenfold.studio.accounts import Accounts
from tenfold.studio.database import Database, open_database, restore_backup
from tenfold.studio.folder import DataFolder, data_folder
from tenfold.studio.queue import Queue

__all__ = ["Store"]


class Store:
    """Accounts and jobs in a data folder, which no other program uses meanwhile.

    Attributes:
        path: the data folder.
        accounts: who may log in.
        queue: what they have it do.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     session = store.accounts.create_administrator("Ada", "counting to 1815")
        ...     job = store.queue.add(session, "demo", {"seed": 1})
        ...     print(job.id, job.command, job.state, job.run_directory.name)
        1 demo queued 0001
    """

    def __init__(self, path: str | Path | None = None, *, hasher: PasswordHasher | None = None) -> None:
        """Open the data folder `path`; None for `data_folder()`. It is made where it is missing.

        Raises:
            OccupiedError: another program works in it.
            StorageError: it cannot be used, or its database is damaged, locked or of a later version; then
                `Store.restore` may help.
        """
        folder = DataFolder(path or data_folder())
        database: Database | None = None
        try:
            database = open_database(folder)
            self.accounts = Accounts(database, hasher=hasher)
            self.queue = Queue(database, self.accounts, folder.path)
        except BaseException:
            if database is not None:
                database.close()
            folder.close()
            raise
        self.path = folder.path
        self._folder = folder
        self._database = database

    @staticmethod
    def restore(path: str | Path | None = None) -> Path:
        """Put the backup of the last start in the place of the database of a data folder that is not open.

        Returns:
            Where the old one is now.

        Raises:
            OccupiedError, StorageError: the folder is in use; there is no backup, or it cannot be copied.
        """
        folder = DataFolder(path or data_folder())
        try:
            return restore_backup(folder)
        finally:
            folder.close()

    def close(self) -> None:
        """Leave the folder to others. Jobs that run go on."""
        self.queue.close()
        self._database.close()
        self._folder.close()

    def __enter__(self) -> Store:
        """The store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
