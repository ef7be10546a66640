"""The database is opened whole and private, or refused with a way on; it is never made anew in silence."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from studio_samples import PASSWORD, Opened, opened
from tenfold.studio import errors
from tenfold.studio.database import open_database, restore_backup
from tenfold.studio.errors import OccupiedError, StorageError
from tenfold.studio.folder import DataFolder, data_folder
from tenfold.studio.schema import MIGRATIONS

SOURCE = Path(errors.__file__).parents[2]
VERSION_1 = """
CREATE TABLE user (id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    administrator INTEGER NOT NULL CHECK (administrator IN (0, 1)),
    active INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    must_change INTEGER NOT NULL DEFAULT 0 CHECK (must_change IN (0, 1)),
    generation INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, last_login REAL);
CREATE TABLE throttle (subject BLOB PRIMARY KEY, failures INTEGER NOT NULL, last REAL NOT NULL,
    noted INTEGER NOT NULL DEFAULT 0);
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, name TEXT NOT NULL,
    what TEXT NOT NULL, outcome TEXT NOT NULL);
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO user VALUES (7, 'Ada', 'ada', '', 1, 1, 0, 3, 900000.0, NULL);
PRAGMA application_id = 1952804454;
PRAGMA user_version = 1;
"""
HOLDS = """
import sys, time
from tenfold.studio.folder import DataFolder
folder = DataFolder(sys.argv[1])
print("taken", flush=True)
time.sleep(60)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(path: Path) -> list[str]:
    """The accounts in a data folder."""
    with opened(path) as found:
        return [row["name"] for row in found.database.read("SELECT name FROM user ORDER BY id")]


def tables(found: Opened) -> list[str]:
    """What the tables of a database are made of, spaces apart."""
    rows = found.database.read("SELECT sql FROM sqlite_master WHERE sql <> '' ORDER BY name")
    return ["".join(row["sql"].split()) for row in rows]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A data folder with an account, which the backup of the second start holds."""
    path = tmp_path / "data"
    with opened(path) as found:
        found.administrator()
    assert names(path) == ["Ada"]
    return path


class TestVersions:
    def test_a_file_of_version_1_is_brought_to_this_one(self, tmp_path: Path, used: Path) -> None:
        with opened(used) as found:
            hashed = found.database.read("SELECT password FROM user")[0]["password"]
        old = tmp_path / "old"
        old.mkdir(mode=0o700)
        with closing(sqlite3.connect(old / "studio.db")) as connection:
            connection.executescript(VERSION_1)
            connection.execute("UPDATE user SET password = ?", (hashed,))
            connection.commit()
        with opened(old) as found:
            session = found.accounts.login("Ada", PASSWORD)
            assert (session.user_id, session.generation) == (7, 3)
            assert found.database.read("PRAGMA user_version")[0][0] == len(MIGRATIONS) == 2
            migrated = tables(found)
        with opened(used) as found:
            assert migrated == tables(found)
        with closing(sqlite3.connect(old / "backup" / "studio-v1.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert connection.execute("SELECT name FROM user").fetchall() == [("Ada",)]

    def test_a_migration_that_fails_leaves_the_old_version(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = tmp_path / "old"
        old.mkdir(mode=0o700)
        with closing(sqlite3.connect(old / "studio.db")) as connection:
            connection.executescript(VERSION_1)
        broken = (*MIGRATIONS, ("CREATE TABLE more (x)", "CREATE TABLE user (x)"))
        monkeypatch.setattr("tenfold.studio.database.MIGRATIONS", broken)
        with pytest.raises(StorageError), opened(old):
            pass
        with closing(sqlite3.connect(old / "studio.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name IN ('more', 'job')")
            assert tables.fetchall() == []

    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            ("PRAGMA user_version = 99", "version 99, and this tenfold knows 2"),
            ("PRAGMA application_id = 1", "of another program"),
        ],
    )
    def test_what_is_not_of_this_program_is_refused(self, used: Path, statement: str, message: str) -> None:
        with closing(sqlite3.connect(used / "studio.db")) as connection:
            connection.execute(statement)
        content = (used / "studio.db").read_bytes()
        with pytest.raises(StorageError, match=message), opened(used):
            pass
        assert (used / "studio.db").read_bytes() == content


def _no_header(path: Path) -> None:
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])


def _no_page(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * 4096 + content[8192:])


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _orphan(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE user SET id = 8")
        connection.execute("INSERT INTO job VALUES (1, 99, '', '', '', '', 'done', 0, 0, 0, 0, 0, '', NULL)")
        connection.commit()


def _impossible(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE user SET active = 7")
        connection.commit()


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "said"),
        [
            (_no_header, "file is not a database"),
            (_no_page, ""),
            (_half, ""),
            (_empty, "it is empty"),
            (_impossible, "CHECK constraint failed in user"),
            (_orphan, "rows that refer to nothing"),
        ],
    )
    def test_is_refused_and_the_backup_brings_all_back(
        self, used: Path, damage: Callable[[Path], None], said: str
    ) -> None:
        damage(used / "studio.db")
        content = (used / "studio.db").read_bytes()
        for _ in range(2):  # the backup is not overwritten
            with pytest.raises(StorageError) as caught, opened(used):
                pass
            assert f"is damaged ({said}" in str(caught.value)
            assert f"the backup of {time.strftime('%Y')}" in str(caught.value)
            assert (used / "studio.db").read_bytes() == content
        folder = DataFolder(used)
        aside = restore_backup(folder)
        folder.close()
        assert aside.read_bytes() == content
        assert names(used) == ["Ada"]
        assert mode(used / "studio.db") == 0o600

    def test_the_message_is_a_way_that_works(self, used: Path) -> None:
        _no_page(used / "studio.db")
        way = "move studio.db, studio.db-wal and studio.db-shm away"
        with pytest.raises(StorageError, match=way) as caught, opened(used):
            pass
        assert str(used / "backup" / "studio.db") in str(caught.value)
        for file in used.glob("studio.db*"):
            file.rename(file.with_name(f"old-{file.name}"))
        shutil.copy(used / "backup" / "studio.db", used / "studio.db")
        assert names(used) == ["Ada"]

    def test_a_lost_file_is_not_made_anew(self, used: Path) -> None:
        (used / "studio.db").unlink()
        with pytest.raises(StorageError, match="is gone, and accounts are not made anew"), opened(used):
            pass
        assert not (used / "studio.db").exists()
        shutil.rmtree(used / "backup")
        assert names(used) == []

    def test_without_a_backup_there_is_nothing_to_restore(self, used: Path) -> None:
        shutil.rmtree(used / "backup")
        _empty(used / "studio.db")
        with pytest.raises(StorageError, match="there is no backup"), opened(used):
            pass
        folder = DataFolder(used)
        with pytest.raises(StorageError, match="there is no backup"):
            restore_backup(folder)
        folder.close()
        assert (used / "studio.db").exists()

    def test_the_backup_is_of_the_last_start(self, used: Path) -> None:
        with opened(used) as found:
            session = found.accounts.login("Ada", PASSWORD)
            found.accounts.add(session, "Grace")
            with closing(sqlite3.connect(used / "backup" / "studio.db")) as copy:
                assert copy.execute("SELECT name FROM user").fetchall() == [("Ada",)]
        assert names(used) == ["Ada", "Grace"]
        with closing(sqlite3.connect(used / "backup" / "studio.db")) as copy:
            assert copy.execute("SELECT name FROM user").fetchall() == [("Ada",), ("Grace",)]

    def test_what_a_kill_left_half_made_goes(self, used: Path) -> None:
        half = used / "backup" / ".making-x"
        half.mkdir()
        (half / "studio.db").write_bytes(b"half")
        assert names(used) == ["Ada"]
        assert sorted(path.name for path in (used / "backup").iterdir()) == ["studio.db"]


class TestUse:
    def test_a_lock_of_another_program_is_waited_for_and_then_told(self, used: Path) -> None:
        file = used / "studio.db"
        with opened(used) as found, closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begin = time.monotonic()
            with pytest.raises(StorageError, match="is locked by another program"):
                found.accounts.login("Ada", PASSWORD)
            assert 0.15 < time.monotonic() - begin < 5
            other.execute("ROLLBACK")
            found.accounts.login("Ada", PASSWORD)

    def test_a_full_disk_is_told_and_undoes_all(self, used: Path) -> None:
        with opened(used) as found:
            pages = found.database.read("PRAGMA page_count")[0][0]
            found.database.read(f"PRAGMA max_page_count = {pages}")

            def fill() -> None:
                with found.database.transaction() as connection:
                    for number in range(1000):
                        connection.execute("INSERT INTO setting VALUES (?, ?)", (f"n{number}", "x" * 1000))

            with pytest.raises(StorageError, match="disk is full; free space"):
                fill()
            assert found.database.read("SELECT * FROM setting WHERE name LIKE 'n%'") == []
            found.accounts.login("Ada", PASSWORD)

    def test_a_transaction_holds_together(self, used: Path) -> None:
        with opened(used) as found:

            def fail() -> None:
                with found.database.transaction() as connection:
                    connection.execute("UPDATE user SET name = 'Eve'")
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                fail()
            assert found.database.read("SELECT name FROM user")[0]["name"] == "Ada"

    def test_pragmas(self, used: Path) -> None:
        with opened(used) as found:
            values = [
                found.database.read(f"PRAGMA {name}")[0][0]
                for name in ("journal_mode", "foreign_keys", "synchronous", "secure_delete", "trusted_schema")
            ]
        assert values == ["wal", 1, 2, 1, 0]


@pytest.mark.skipif(os.name != "posix", reason="rights are of POSIX")
class TestPrivacy:
    def test_all_is_private_whatever_the_umask(self, tmp_path: Path) -> None:
        old = os.umask(0)
        try:
            with opened(tmp_path / "data") as found:
                found.administrator()
                modes = {path.name: oct(mode(path)) for path in (tmp_path / "data").rglob("*")}
        finally:
            os.umask(old)
        assert mode(tmp_path / "data") == 0o700
        files = dict.fromkeys(("studio.db", "studio.db-wal", "studio.db-shm", "studio.lock"), "0o600")
        assert modes == {**files, "backup": "0o700"}  # its studio.db has the same name

    def test_rights_that_are_too_wide_are_taken_back(self, used: Path) -> None:
        (used / "studio.db").chmod(0o644)
        (used / "backup" / "studio.db").chmod(0o666)
        used.chmod(0o755)
        assert names(used) == ["Ada"]
        paths = (used, used / "studio.db", used / "backup" / "studio.db")
        assert [mode(path) for path in paths] == [0o700, 0o600, 0o600]

    def test_a_folder_of_other_things_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "holiday.jpg").write_text("")
        tmp_path.chmod(0o755)
        with pytest.raises(StorageError, match=r"holds other things \(holiday.jpg"):
            DataFolder(tmp_path)
        assert mode(tmp_path) == 0o755
        assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]

    def test_what_belongs_to_someone_else_is_refused(
        self, used: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
        with pytest.raises(StorageError, match="belongs to another user"):
            DataFolder(used)

    def test_a_link_in_the_place_of_the_database_is_refused(self, used: Path) -> None:
        (used / "studio.db").rename(used.parent / "elsewhere.db")
        (used / "studio.db").symlink_to(used.parent / "elsewhere.db")
        with pytest.raises(StorageError, match="no regular file"), opened(used):
            pass

    def test_a_file_in_the_place_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("")
        with pytest.raises(StorageError, match="data: .* put it right"):
            DataFolder(tmp_path / "data")


class TestTwoPrograms:
    def test_the_second_one_is_refused_until_the_first_is_gone(self, used: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        first = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(used)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert first.stdout is not None
        try:
            assert first.stdout.readline() == "taken\n"
            with pytest.raises(OccupiedError, match="another tenfold studio works in it"):
                DataFolder(used)
        finally:
            first.send_signal(signal.SIGKILL)  # a lock that outlived it would lock out for good
            first.communicate()
        assert names(used) == ["Ada"]

    def test_within_one_program_too(self, used: Path) -> None:
        with opened(used), pytest.raises(OccupiedError):
            DataFolder(used)
        assert names(used) == ["Ada"]

    def test_a_refused_start_frees_the_folder(self, used: Path) -> None:
        _empty(used / "studio.db")
        folder = DataFolder(used)
        with pytest.raises(StorageError):
            open_database(folder)
        folder.close()
        DataFolder(used).close()


def test_the_folder_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENFOLD_STUDIO", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("TENFOLD_STUDIO")
    assert data_folder().parts[-2:] == ("tenfold", "studio")
