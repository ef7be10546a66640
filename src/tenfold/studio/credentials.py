"""Names and passwords, compared: throttled, recorded, and as slow for names that there are not."""

from __future__ import annotations

import sqlite3
import threading
import unicodedata
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from tenfold.studio.audit import UNKNOWN, Entry, record
from tenfold.studio.database import Database
from tenfold.studio.errors import LoginError, StorageError, ThrottledError
from tenfold.studio.passwords import encoded, new_password
from tenfold.studio.throttle import Throttle

__all__ = ["Credentials", "key_of"]

_WRONG = "name or password is wrong; mind capital letters and the keyboard's language"


class Credentials:
    """The passwords in a database.

    Attributes:
        throttle: what failures cost.
    """

    def __init__(self, database: Database, hasher: PasswordHasher, now: Callable[[], float]) -> None:
        """Compare with the passwords in `database`; `now` gives seconds since 1970."""
        self.throttle = Throttle(database)
        self._database = database
        self._hasher = hasher
        self._now = now
        self._one_at_a_time = threading.Lock()  # two guesses at once would be one failure
        # What a password is compared with where the name is unknown, so that the answer takes as long.
        self._nobody = self.hashed(new_password())

    def hashed(self, password: str) -> str:
        """What is stored of a password."""
        return self._hasher.hash(encoded(password))

    def verified(self, name: str, password: str, what: str) -> sqlite3.Row:
        """The active account of that name and password, once all is recorded.

        Args:
            name: as it was typed.
            password: likewise.
            what: for the record: "login", "unlock" or "change password".

        Raises:
            ThrottledError: too many failures; nothing was looked at.
            LoginError: name or password is wrong, or the account is disabled.
            StorageError: the stored password is none, or the memory does not suffice.
        """
        with self._one_at_a_time:
            key, now = key_of(name), self._now()
            wait = self.throttle.wait_s(key, now)
            found = self._database.read("SELECT * FROM user WHERE key = ?", key)
            row = found[0] if found else None
            shown = row["name"] if row else UNKNOWN
            if wait > 0:
                with self._database.transaction() as connection:
                    if self.throttle.first_refusal(connection, key):
                        self._record(connection, shown, what, "refused: too many failures")
                raise ThrottledError(wait)
            right = self._matches(row, password)
            with self._database.transaction() as connection:
                if row is None or not right:
                    self.throttle.failed(connection, key, now)
                    self._record(connection, shown, what, "refused: wrong name or password")
                elif not row["active"]:
                    self._record(connection, shown, what, "refused: disabled")
                else:
                    self._let_in(connection, row, password, what)
        if row is None or not right:
            raise LoginError(_WRONG)
        if not row["active"]:
            raise LoginError(f"the account {shown} is disabled; ask an administrator")
        return row

    def _let_in(self, connection: sqlite3.Connection, row: sqlite3.Row, password: str, what: str) -> None:
        """Note a success, and hash the password anew if parameters have changed."""
        self.throttle.cleared(connection, row["key"])
        if what == "login":
            connection.execute("UPDATE user SET last_login = ? WHERE id = ?", (self._now(), row["id"]))
        if self._hasher.check_needs_rehash(row["password"]):
            hashed = self.hashed(password)
            connection.execute("UPDATE user SET password = ? WHERE id = ?", (hashed, row["id"]))
        if what != "change password":  # recorded once it is changed
            self._record(connection, row["name"], what)

    def _matches(self, row: sqlite3.Row | None, password: str) -> bool:
        """Whether it is the account's password; takes as long where there is no account."""
        try:
            self._hasher.verify(row["password"] if row else self._nobody, encoded(password))
        except VerifyMismatchError:
            return False
        except InvalidHashError:
            raise StorageError(
                "the stored password cannot be read: something else has changed the database; "
                "restore its backup"
            ) from None
        except VerificationError as error:  # no memory, for instance: says nothing about the password
            raise StorageError(
                f"the password could not be checked ({error}); close programs and try again"
            ) from None
        return row is not None

    def _record(self, connection: sqlite3.Connection, name: str, what: str, outcome: str = "done") -> None:
        """A line of the record."""
        record(connection, Entry(self._now(), name, what, outcome))


def key_of(name: str) -> str:
    """What names that look alike have in common."""
    printable = name.strip().encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", printable).casefold())
