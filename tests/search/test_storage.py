from __future__ import annotations

import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from tenfold.core.errors import RunError
from tenfold.search.storage import open_storage, shown, storage_errors
from tenfold.search.worker import Worker


def refused(where: str | Path) -> str:
    """The one error, in one line and without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RunError) as caught:
            open_storage(where)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_is_made_and_found_again(tmp_path, capfd):
    for _ in range(2):
        storage = open_storage(tmp_path / "new.db")
        storage.engine.dispose()
    assert (tmp_path / "new.db").stat().st_size
    assert capfd.readouterr() == ("", "")


def test_an_empty_file_is_as_good_as_none(tmp_path):
    (tmp_path / "empty.db").touch()
    open_storage(tmp_path / "empty.db").engine.dispose()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing/search.db", "unable to open database file"),
        ("/proc/search.db", "unable to open database file"),  # nobody may write there
        (".", "unable to open database file"),
    ],
)
def test_folders_that_do_not_exist_or_may_not_be_written(tmp_path, place, reason):
    message = refused(tmp_path / place)
    assert reason in message
    assert "a folder where you may write" in message


@pytest.mark.parametrize("keep", [0, 16])
def test_a_file_that_is_broken(tmp_path, keep):
    path = tmp_path / "search.db"
    open_storage(path).engine.dispose()
    content = path.read_bytes()
    path.write_bytes(content[:keep] + b"\0broken\0" * 700)
    assert "not a database" in refused(path) or "malformed" in refused(path)
    assert path.read_bytes()[keep:] == b"\0broken\0" * 700  # left as it is


def test_a_file_that_was_cut_short(tmp_path):
    path = tmp_path / "search.db"
    open_storage(path).engine.dispose()
    path.write_bytes(path.read_bytes()[:9000])
    assert "malformed" in refused(path)


def test_a_file_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("create table photos (name text)")
        opened.commit()
    before = path.read_bytes()
    assert "another program's database (tables photos)" in refused(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+psycopg9://ann:secret@host/studies", "psycopg9"),
        ("nosuch://ann:secret@host/studies", "nosuch"),
        ("mysql://ann:secret@host/studies", "driver"),
    ],
)
def test_databases_that_cannot_be_reached_and_passwords_that_are_not_shown(url, reason):
    message = refused(url)
    assert reason in message
    assert "secret" not in message


def test_what_is_shown():
    assert shown("postgresql://ann:secret@host/x") == "postgresql://ann:***@host/x"
    assert shown("::no://url:secret@") == "::no://..."
    assert shown(Path("a.db")) == "a.db"


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), storage_errors("a.db"):
        _ = 1 / 0


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only Linux tells when a process was started"
)
def test_the_living_and_the_dead():
    this = Worker.this()
    assert this.lives() is True
    assert Worker("another host", this.pid, this.started).lives() is None
    assert Worker(this.place, this.pid, (this.started or 0) + 1).lives() is False  # its number was given anew
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    worker = Worker(this.place, child.pid, int(stat.rpartition(")")[2].split()[19]))
    assert worker.lives() is True
    child.kill()
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    assert worker.lives() is False  # although nobody has asked for its exit code yet
    child.communicate()
    assert worker.lives() is False
