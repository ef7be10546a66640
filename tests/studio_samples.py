"""Accounts whose passwords are hashed quickly, and clocks that stand still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tenfold.studio.accounts import Accounts
from tenfold.studio.database import Database, open_database
from tenfold.studio.errors import LoginError
from tenfold.studio.folder import DataFolder
from tenfold.studio.sessions import Session

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "counting to 1815"


@dataclass
class Opened:
    """A data folder in use; `now` and `awake_s` are what its clocks show."""

    database: Database
    hasher: PasswordHasher = QUICK
    now: float = 1_000_000.0
    awake_s: float = 0.0

    def __post_init__(self) -> None:
        self.accounts = Accounts(
            self.database, hasher=self.hasher, now=lambda: self.now, clock=lambda: self.awake_s
        )

    def administrator(self) -> Session:
        return self.accounts.create_administrator("Ada", PASSWORD)

    def member(self, session: Session, name: str = "Grace") -> Session:
        """A further account that has taken a password of its own."""
        given = self.accounts.add(session, name)
        own = self.accounts.login(name, given)
        self.accounts.change_password(own, given, f"{PASSWORD} or so")
        return own


@contextmanager
def opened(path: Path, hasher: PasswordHasher = QUICK) -> Iterator[Opened]:
    """A data folder, as long as the block lasts."""
    folder = DataFolder(path)
    try:
        database = open_database(folder, timeout_s=0.2)
        try:
            yield Opened(database, hasher)
        finally:
            database.close()
    finally:
        folder.close()


def failed(accounts: Accounts, name: str, password: str = "wrong and long") -> str:
    """Log in in vain; gives what was said."""
    with pytest.raises(LoginError) as caught:
        accounts.login(name, password)
    return str(caught.value)
