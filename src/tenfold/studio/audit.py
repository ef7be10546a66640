"""What was done with accounts, by whom, and whether it was granted."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from tenfold.studio.database import Database

__all__ = ["UNKNOWN", "Entry", "entries", "record"]

UNKNOWN = "(unknown name)"
"""Stands for a name without an account: it may be a password that was typed into the wrong field."""

_MOST = 100_000  # the oldest go


@dataclass(frozen=True)
class Entry:
    """One line of the record.

    Attributes:
        time: seconds since 1970.
        name: who did it.
        what: "login", "add ada", ...
        outcome: "done", "refused: " and why.
    """

    time: float
    name: str
    what: str
    outcome: str


def record(connection: sqlite3.Connection, entry: Entry) -> None:
    """Add a line, in the transaction of what it tells of."""
    values = (entry.time, entry.name, entry.what, entry.outcome)
    added = connection.execute("INSERT INTO audit (time, name, what, outcome) VALUES (?, ?, ?, ?)", values)
    connection.execute("DELETE FROM audit WHERE id <= ?", ((added.lastrowid or 0) - _MOST,))


def entries(database: Database, most: int) -> tuple[Entry, ...]:
    """The last `most` lines, the newest first."""
    rows = database.read("SELECT time, name, what, outcome FROM audit ORDER BY id DESC LIMIT ?", most)
    return tuple(Entry(**row) for row in rows)
