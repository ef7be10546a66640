"""How long a login has to wait after failures: per name, and over all names together."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3

from tenfold.studio.database import Database

__all__ = ["Throttle"]

_FREE = 2  # failures of one name that cost nothing
_LONGEST_S = 900.0
_FREE_OVERALL = 9  # of all names together
_LONGEST_OVERALL_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 86400.0
_OVERALL = b"all names"


class Throttle:
    """Failures, in the database: they outlive the program.

    The third failure in a row of a name costs a second, each further one twice as much, up to 15 minutes; a
    success, or a day without a failure, clears it. The tenth failure of all names together costs a second,
    up to a minute, whatever succeeds meanwhile, until an hour passes without one: so many names cannot be
    tried instead. Names that there are and names that there are not wait alike. What is typed as a name may
    be a password by mistake, so only its keyed hash is stored.
    """

    def __init__(self, database: Database) -> None:
        """Use the key of this database; one is made at the first time."""
        self._database = database
        with database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO setting (name, value) VALUES ('throttle key', ?)",
                (secrets.token_hex(32),),
            )
        self._key = bytes.fromhex(database.setting("throttle key", ""))

    def wait_s(self, name: str, now: float) -> float:
        """Seconds until a login under `name` is looked at; 0 for at once."""
        waits = [0.0]
        for subject, free, longest in (
            (self._subject(name), _FREE, _LONGEST_S),
            (_OVERALL, _FREE_OVERALL, _LONGEST_OVERALL_S),
        ):
            for row in self._database.read("SELECT failures, last FROM throttle WHERE subject = ?", subject):
                delay = _delay(row["failures"] - free, longest)
                waits.append(self._last(subject, row["last"], now) + delay - now)
        return max(waits)

    def failed(self, connection: sqlite3.Connection, name: str, now: float) -> None:
        """Count a failure."""
        connection.execute("DELETE FROM throttle WHERE last < ?", (now - _DAY_S,))
        connection.execute("DELETE FROM throttle WHERE subject = ? AND last < ?", (_OVERALL, now - _HOUR_S))
        for subject in (self._subject(name), _OVERALL):
            connection.execute(
                "INSERT INTO throttle (subject, failures, last) VALUES (?, 1, ?) ON CONFLICT (subject) "
                "DO UPDATE SET failures = failures + 1, last = excluded.last, noted = 0",
                (subject, now),
            )

    def cleared(self, connection: sqlite3.Connection, name: str) -> None:
        """Forget the failures of a name."""
        connection.execute("DELETE FROM throttle WHERE subject = ?", (self._subject(name),))

    def first_refusal(self, connection: sqlite3.Connection, name: str) -> bool:
        """Whether this is the first login since the last failure that is not even looked at; asks once."""
        changed = connection.execute(
            "UPDATE throttle SET noted = 1 WHERE noted = 0 AND subject IN (?, ?)",
            (self._subject(name), _OVERALL),
        )
        return changed.rowcount > 0

    def _last(self, subject: bytes, last: float, now: float) -> float:
        """When it last failed; a clock that was set back meanwhile begins the delay anew, once."""
        if last <= now:
            return last
        with self._database.transaction() as connection:
            connection.execute("UPDATE throttle SET last = ? WHERE subject = ?", (now, subject))
        return now

    def _subject(self, name: str) -> bytes:
        """What a name is stored as."""
        return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=self._key).digest()


def _delay(excess: int, longest_s: float) -> float:
    """1, 2, 4, ... seconds for 1, 2, 3, ... failures too many."""
    return 0.0 if excess <= 0 else float(min(2.0 ** min(excess - 1, 60), longest_s))
