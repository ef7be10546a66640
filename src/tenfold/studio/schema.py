"""The tables of the desktop program, version by version. A version that was released is never changed."""

from __future__ import annotations

__all__ = ["APPLICATION", "MIGRATIONS"]

APPLICATION = 0x74656E66  # "tenf": tells this file from other SQLite databases

_ACCOUNTS = (
    """CREATE TABLE user (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        password TEXT NOT NULL,
        administrator INTEGER NOT NULL CHECK (administrator IN (0, 1)),
        active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
        must_change INTEGER NOT NULL DEFAULT 0 CHECK (must_change IN (0, 1)),
        generation INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        last_login REAL
    )""",
    """CREATE TABLE throttle (
        subject BLOB PRIMARY KEY,
        failures INTEGER NOT NULL,
        last REAL NOT NULL,
        noted INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        name TEXT NOT NULL,
        what TEXT NOT NULL,
        outcome TEXT NOT NULL
    )""",
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

_JOBS = (
    """CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        owner INTEGER NOT NULL REFERENCES user (id),
        command TEXT NOT NULL,
        settings TEXT NOT NULL,
        run_directory TEXT NOT NULL,
        working_folder TEXT NOT NULL,
        state TEXT NOT NULL
            CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
        created REAL NOT NULL,
        queued REAL NOT NULL,
        started REAL,
        ended REAL,
        cancel_asked REAL,
        error TEXT NOT NULL DEFAULT '',
        process TEXT
    )""",
    "CREATE INDEX job_of_state ON job (state, queued)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_ACCOUNTS, _JOBS)
"""Statements that make version 1, 2, ... of the one before."""
