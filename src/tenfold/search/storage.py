"""Where a study is kept: a file of SQLite, or any database that SQLAlchemy reaches."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from tenfold.core.errors import RunError
from tenfold.search.quiet import quiet

__all__ = ["HEARTBEAT", "RETRIES", "open_storage", "shown", "storage_errors"]

HEARTBEAT = 20
"""Seconds between two signs of life of a process that works on a trial."""

RETRIES = 2
"""How often a trial is tried again whose process died."""

_GRACE = 120  # seconds without a sign of life after which a process elsewhere is taken for dead
_LOCKED = 60.0  # seconds to wait for another process that is writing
_ATTEMPTS = 20
_OWN = {"studies", "trials", "version_info"}  # tables that every storage of Optuna has


def open_storage(where: str | Path) -> RDBStorage:
    """The storage at a path of a SQLite file, made where there is none, or at a URL.

    Args:
        where: "search.db", or "postgresql://user@host/name".

    Raises:
        RunError: it cannot be read or written, or holds something else.
    """
    url = _url(where)
    with storage_errors(where), quiet():
        if url.startswith("sqlite:///"):
            _check_file(Path(url.removeprefix("sqlite:///").partition("?")[0]), where)
        for attempt in range(_ATTEMPTS):
            try:
                return _opened(url, where)
            except (IntegrityError, OperationalError, ProgrammingError, StorageInternalError) as error:
                # Two processes may make the tables of one new storage at the same time.
                if attempt == _ATTEMPTS - 1 or not _made_meanwhile(error):
                    raise
                time.sleep(0.1)
    raise AssertionError


def shown(where: str | Path) -> str:
    """The place as it may be printed: without a password."""
    text = str(where)
    if "://" not in text:
        return text
    try:
        return make_url(text).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return text.partition("://")[0] + "://..."


@contextmanager
def storage_errors(where: str | Path) -> Iterator[None]:
    """Turn what a database may raise into one error that says what to do."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error, OSError) as error:
        raise RunError(
            f"cannot use the study in {shown(where)}: {_reason(error)}; "
            "give a file in a folder where you may write, or the URL of a database that answers"
        ) from error
    except ImportError as error:
        raise RunError(
            f"cannot use the study in {shown(where)}: {_innermost(error)}; install the database's driver"
        ) from error


def _url(where: str | Path) -> str:
    """As SQLAlchemy wants it."""
    return where if isinstance(where, str) and "://" in where else f"sqlite:///{Path(where).absolute()}"


def _opened(url: str, where: str | Path) -> RDBStorage:
    """The storage, with its tables."""
    try:
        return RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": _LOCKED}} if url.startswith("sqlite") else None,
            heartbeat_interval=HEARTBEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
    except RuntimeError as error:  # tables of another version of Optuna
        raise RunError(f"cannot use the study in {shown(where)}: {error}") from error


def _check_file(path: Path, where: str | Path) -> None:
    """Refuse the file of another program, to which tables would otherwise be added."""
    if not path.is_file() or not path.stat().st_size:
        return
    read_only = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(read_only, uri=True, timeout=_LOCKED)) as opened:
        rows = opened.execute("select name from sqlite_master where type = 'table'").fetchall()
    tables = {name for (name,) in rows}
    # A process that is just making the tables has not made all of them.
    if tables and not tables & _OWN:
        some = ", ".join(sorted(tables)[:3])
        raise RunError(
            f"cannot use the study in {shown(where)}: it is another program's database (tables {some}); "
            "give a file that does not exist yet, or one of an earlier search"
        )


def _made_meanwhile(error: Exception) -> bool:
    """Whether another process was faster."""
    text = _innermost(error).lower()
    return "already exists" in text or "unique" in text or "duplicate" in text


def _reason(error: BaseException) -> str:
    """The innermost cause, in a line."""
    return _innermost(error).strip().partition("\n")[0]


def _innermost(error: BaseException) -> str:
    """The text of what was raised first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(getattr(error, "orig", None) or error)
