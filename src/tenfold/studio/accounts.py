"""Who may use the desktop program: accounts with passwords, administrators, a record of what was done.

    accounts.is_new                            no account yet: ask for the administrator's
    accounts.create_administrator(name, password) -> Session
    accounts.login(name, password) -> Session      also: unlock, logout
    accounts.user(session) -> User             must_change: only change_password is open
    accounts.change_password(session, old, new)
    accounts.users(session), add, disable, enable, reset, set_idle_minutes, audit: administrators

Passwords are kept as Argon2id hashes with the parameters of `argon2-cffi`, and hashed anew at a login when
those have changed. A login takes a tenth of a second, ten times that on a busy computer: a window calls it in
a thread, which all methods allow.
"""

from __future__ import annotations

import sqlite3
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from argon2 import PasswordHasher

from tenfold.studio.audit import UNKNOWN, Entry, entries, record
from tenfold.studio.credentials import Credentials, key_of
from tenfold.studio.database import Database
from tenfold.studio.errors import AccountError, PasswordError, RightsError, SessionError
from tenfold.studio.passwords import check_password, encoded, new_password
from tenfold.studio.sessions import Session, uptime

__all__ = ["Accounts", "User"]

_LONGEST_NAME = 64
_IDLE_MINUTES = "10"


@dataclass(frozen=True)
class User:
    """An account as a window shows it.

    Attributes:
        id: its number.
        name: as it was given.
        administrator: whether it may manage accounts and sees the jobs of all.
        active: whether it may log in.
        must_change: whether the password has to be changed first.
        created: seconds since 1970.
        last_login: likewise; None for never.
    """

    id: int
    name: str
    administrator: bool
    active: bool
    must_change: bool
    created: float
    last_login: float | None


class Accounts:
    """The accounts in a database.

    Example:
        >>> import tempfile
        >>> from tenfold.studio.database import open_database
        >>> from tenfold.studio.folder import DataFolder
        >>> with tempfile.TemporaryDirectory() as path:
        ...     folder = DataFolder(path)
        ...     database = open_database(folder)
        ...     accounts = Accounts(database)
        ...     session = accounts.create_administrator("Ada", "counting to 1815")
        ...     word = accounts.add(session, "Grace")
        ...     print([user.name for user in accounts.users(session)], accounts.login("grace", word).locked)
        ...     database.close(); folder.close()
        ['Ada', 'Grace'] False
    """

    def __init__(
        self,
        database: Database,
        *,
        hasher: PasswordHasher | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = uptime,
    ) -> None:
        """Manage the accounts in `database`.

        Args:
            database: open.
            hasher: of passwords; None for the parameters that `argon2-cffi` recommends.
            now: seconds since 1970.
            clock: seconds, for the idle lock.
        """
        self._database = database
        self._now = now
        self._clock = clock
        self._credentials = Credentials(database, hasher or PasswordHasher(), now)

    @property
    def is_new(self) -> bool:
        """Whether there is no account yet, so that the first start has to make the administrator's."""
        return not self._database.read("SELECT 1 FROM user LIMIT 1")

    def create_administrator(self, name: str, password: str) -> Session:
        """Make the first account, and log in.

        Raises:
            AccountError: there is an account already, or the name is no name.
            PasswordError: the password is too easily guessed.
        """
        name = _checked_name(name)
        check_password(password, name)
        hashed = self._credentials.hashed(password)
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM user LIMIT 1").fetchone():
                raise AccountError(
                    "there is an administrator already; log in, or ask that one for an account"
                )
            self._insert(connection, name, hashed, administrator=True, must_change=False)
            self._record(connection, name, "create administrator")
        return self.login(name, password)

    def login(self, name: str, password: str) -> Session:
        """Open a session.

        Raises:
            ThrottledError: too many failures; its `wait_s` says how long nothing is looked at.
            LoginError: name or password is wrong (it is not said which), or the account is disabled.
        """
        row = self._credentials.verified(name, password, "login")
        idle_s = 60 * self.idle_minutes
        return Session(row["id"], row["generation"], idle_s=idle_s, clock=self._clock)

    def unlock(self, session: Session, password: str) -> None:
        """Open a locked session again.

        Raises:
            SessionError: it is over, or its account was disabled or reset meanwhile.
            LoginError: as `login`.
        """
        row = self._row_of(session)
        self._credentials.verified(row["name"], password, "unlock")
        session.reopen()

    def logout(self, session: Session) -> None:
        """End a session; one that is over stays so."""
        if session.over:
            return
        session.end()
        with self._database.transaction() as connection:
            self._record(connection, self._name_of(connection, session.user_id), "logout")

    def user(self, session: Session) -> User:
        """Whose session it is, also where the password must be changed first.

        Raises:
            SessionError: it is over, locked, or its account was disabled or reset meanwhile.
        """
        session.check()
        return _user(self._row_of(session))

    def checked(self, session: Session, *, administrator: bool = False) -> User:
        """Whose session it is, once that one may do something.

        Raises:
            SessionError: as `user`, or the password must be changed first.
            RightsError: an administrator is needed and this is none.
        """
        user = self.user(session)
        if user.must_change:
            raise SessionError("the password was set by an administrator; change it first")
        if administrator and not user.administrator:
            raise RightsError(f"{user.name} is no administrator; ask one")
        return user

    def change_password(self, session: Session, old: str, new: str) -> None:
        """Give one's own account another password. Other sessions of it end.

        Raises:
            SessionError: as `user`.
            LoginError: `old` is wrong, or too many failures, as `login`.
            PasswordError: `new` is too easily guessed, or is `old`.
        """
        user = self.user(session)
        self._credentials.verified(user.name, old, "change password")
        check_password(new, user.name)
        if encoded(new) == encoded(old):
            raise PasswordError("the new password is the old one; take another one")
        hashed = self._credentials.hashed(new)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE user SET password = ?, must_change = 0, generation = generation + 1 WHERE id = ?",
                (hashed, user.id),
            )
            self._record(connection, user.name, "change password")
        session.generation += 1

    def users(self, session: Session) -> tuple[User, ...]:
        """All accounts by name, for an administrator.

        Raises:
            SessionError, RightsError: as `checked`.
        """
        self.checked(session, administrator=True)
        return tuple(map(_user, self._database.read("SELECT * FROM user ORDER BY key")))

    def add(self, session: Session, name: str, *, administrator: bool = False) -> str:
        """Make an account; returns its password, to be told, which must be changed at the first login.

        Raises:
            AccountError: the name is taken, or no name.
            SessionError, RightsError: as `checked`.
        """
        actor = self.checked(session, administrator=True)
        name, password = _checked_name(name), new_password()
        hashed = self._credentials.hashed(password)
        with self._database.transaction() as connection:
            taken = connection.execute("SELECT name FROM user WHERE key = ?", (key_of(name),)).fetchone()
            if taken:
                raise AccountError(
                    f"there is an account {taken['name']!r} already; take another name, or reset that one"
                )
            self._insert(connection, name, hashed, administrator=administrator, must_change=True)
            self._record(connection, actor.name, f"add {'administrator ' if administrator else ''}{name}")
        return password

    def disable(self, session: Session, name: str) -> None:
        """Let no one log in under `name` any more; sessions of it end, its jobs go on.

        Raises:
            AccountError: there is no such account, or it is the last administrator's that is active.
            SessionError, RightsError: as `checked`.
        """
        actor = self.checked(session, administrator=True)
        with self._database.transaction() as connection:
            row = _found(connection, name)
            others = connection.execute(
                "SELECT COUNT(*) FROM user WHERE administrator AND active AND id <> ?", (row["id"],)
            )
            if row["administrator"] and not others.fetchone()[0]:
                raise AccountError(
                    f"{row['name']} is the last active administrator and cannot be disabled; "
                    "make another one first"
                )
            connection.execute(
                "UPDATE user SET active = 0, generation = generation + 1 WHERE id = ? AND active",
                (row["id"],),
            )
            self._record(connection, actor.name, f"disable {row['name']}")

    def enable(self, session: Session, name: str) -> None:
        """Undo `disable`.

        Raises:
            AccountError: there is no such account.
            SessionError, RightsError: as `checked`.
        """
        actor = self.checked(session, administrator=True)
        with self._database.transaction() as connection:
            row = _found(connection, name)
            connection.execute("UPDATE user SET active = 1 WHERE id = ?", (row["id"],))
            self._record(connection, actor.name, f"enable {row['name']}")

    def reset(self, session: Session, name: str) -> str:
        """Give another account a new password, which is returned and must be changed at the next login.

        Its sessions end and its failures are forgotten.

        Raises:
            AccountError: there is no such account, or it is one's own.
            SessionError, RightsError: as `checked`.
        """
        actor = self.checked(session, administrator=True)
        password = new_password()
        hashed = self._credentials.hashed(password)
        with self._database.transaction() as connection:
            row = _found(connection, name)
            if row["id"] == actor.id:
                raise AccountError("this is your own account; change its password instead")
            connection.execute(
                "UPDATE user SET password = ?, must_change = 1, generation = generation + 1 WHERE id = ?",
                (hashed, row["id"]),
            )
            self._credentials.throttle.cleared(connection, row["key"])
            self._record(connection, actor.name, f"reset {row['name']}")
        return password

    def audit(self, session: Session, most: int = 1000) -> tuple[Entry, ...]:
        """What was done, the newest first, for an administrator.

        Raises:
            SessionError, RightsError: as `checked`.
        """
        self.checked(session, administrator=True)
        return entries(self._database, most)

    @property
    def idle_minutes(self) -> float:
        """Minutes without activity after which a session locks itself."""
        return float(self._database.setting("idle minutes", _IDLE_MINUTES))

    def set_idle_minutes(self, session: Session, minutes: float) -> None:
        """Set `idle_minutes`, for sessions that begin later and for this one.

        Raises:
            AccountError: not between 1 and 1,440.
            SessionError, RightsError: as `checked`.
        """
        actor = self.checked(session, administrator=True)
        if not 1 <= minutes <= 1440:
            raise AccountError(f"{minutes:g} minutes of idleness: take 1 to 1,440")
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO setting VALUES ('idle minutes', ?)", (str(minutes),))
            self._record(connection, actor.name, f"lock after {minutes:g} minutes")
        session.idle_s = 60 * minutes

    def _row_of(self, session: Session) -> sqlite3.Row:
        """The account of a session that is not over, locked or not."""
        rows = self._database.read("SELECT * FROM user WHERE id = ?", session.user_id)
        if not session.over and not (
            rows and rows[0]["active"] and rows[0]["generation"] == session.generation
        ):
            session.end()
        if session.over:
            raise SessionError("this session is over; log in again")
        return rows[0]

    def _insert(
        self,
        connection: sqlite3.Connection,
        name: str,
        hashed: str,
        *,
        administrator: bool,
        must_change: bool,
    ) -> None:
        """A new row."""
        connection.execute(
            "INSERT INTO user (name, key, password, administrator, must_change, created) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (name, key_of(name), hashed, administrator, must_change, self._now()),
        )

    def _name_of(self, connection: sqlite3.Connection, user_id: int) -> str:
        """The name of an account."""
        row = connection.execute("SELECT name FROM user WHERE id = ?", (user_id,)).fetchone()
        return str(row["name"])

    def _record(self, connection: sqlite3.Connection, name: str, what: str, outcome: str = "done") -> None:
        """A line of the record."""
        record(connection, Entry(self._now(), name, what, outcome))


def _checked_name(name: str) -> str:
    """A new name without spaces at its ends.

    Raises:
        AccountError: it is empty, too long, or holds what cannot be seen.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise AccountError(f"a name of {len(name)} signs: take 1 to {_LONGEST_NAME}")
    if not name.isprintable() or name == UNKNOWN:
        raise AccountError(f"the name {name!r} holds signs that cannot be seen; take letters and digits")
    return name


def _found(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    """The row of an account.

    Raises:
        AccountError: there is none.
    """
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM user WHERE key = ?", (key_of(name),)
    ).fetchone()
    if row is None:
        raise AccountError(f"there is no account {name!r}; see the list of accounts")
    return row


def _user(row: sqlite3.Row) -> User:
    """A row for a window."""
    return User(
        id=row["id"],
        name=row["name"],
        administrator=bool(row["administrator"]),
        active=bool(row["active"]),
        must_change=bool(row["must_change"]),
        created=row["created"],
        last_login=row["last_login"],
    )
