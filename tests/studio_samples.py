"""Accounts whose passwords are hashed quickly, clocks that stand still, and someone at a desk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tenfold.runs.directory import RunDirectory
from tenfold.studio.accounts import Accounts
from tenfold.studio.database import Database, open_database
from tenfold.studio.errors import LoginError
from tenfold.studio.folder import DataFolder
from tenfold.studio.jobs import Job
from tenfold.studio.queue import Queue
from tenfold.studio.sessions import Session
from tenfold.studio.store import Store

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


@dataclass
class Desk:
    """An open store with someone at it."""

    store: Store
    session: Session

    @property
    def queue(self) -> Queue:
        return self.store.queue

    def reopen(self) -> None:
        """As at the next start of the program."""
        self.store.close()
        self.store = Store(self.store.path, hasher=QUICK)
        self.session = self.store.accounts.login("Ada", PASSWORD)

    def job(self, number: int = 1) -> Job:
        return self.queue.job(self.session, number)

    def poll_until(self, condition: Callable[[], object], seconds: float = 900) -> None:
        """Poll as a window does; a call that keeps it waiting fails."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.queue.log(self.session, 1)
            begin = time.monotonic()
            self.queue.poll()
            assert time.monotonic() - begin < 2
            time.sleep(0.05)

    def until_over(self, number: int = 1) -> Job:
        self.poll_until(lambda: self.job(number).over)
        return self.job(number)

    def until_recovering(self, number: int = 1) -> None:
        def recovering() -> bool:
            assert not self.job(number).over, self.job(number)
            run = RunDirectory(self.job(number).run_directory)
            kept = (run.checkpoint / "recovery.pt").exists()
            return kept and self.queue.progress(self.session, number).phase == "recover"

        self.poll_until(recovering)


def open_desk(path: Path) -> Desk:
    """A new data folder, with its administrator."""
    store = Store(path, hasher=QUICK)
    return Desk(store, store.accounts.create_administrator("Ada", PASSWORD))
