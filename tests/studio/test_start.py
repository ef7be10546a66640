"""The program of the window: when it starts, and what it says where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from tkinter import messagebox

import pytest

from studio_samples import QUICK
from tenfold.studio.errors import StorageError
from tenfold.studio.program import open_studio
from tenfold.studio.store import Store

pytestmark = pytest.mark.slow


def test_without_a_display_there_is_one_clear_error(tmp_path, surroundings):
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    ended = subprocess.run(
        [sys.executable, "-m", "tenfold", "studio", "--data", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("error: tenfold studio needs a screen")
    assert not (tmp_path / "data").exists()


def test_a_second_program_on_the_same_data_is_refused(user, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "tenfold", "studio", "--data", str(tmp_path / "data")],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 2
    assert "another tenfold studio works in it" in ended.stderr


def test_a_damaged_database_is_refused_with_the_way_to_recover(display, tmp_path, surroundings, monkeypatch):
    monkeypatch.setenv("DISPLAY", display.name)
    Store(tmp_path / "data", hasher=QUICK).close()
    (tmp_path / "data" / "studio.db").write_bytes(b"no database" * 1000)
    command = [sys.executable, "-m", "tenfold", "studio", "--data", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 2
    assert "--restore" in ended.stderr
    restored = subprocess.run([*command, "--restore"], capture_output=True, encoding="utf-8", check=False)
    assert restored.returncode == 0
    Store(tmp_path / "data", hasher=QUICK).close()


def test_a_bundle_says_in_a_window_why_it_does_not_start(display, tmp_path, surroundings, monkeypatch):
    monkeypatch.setenv("DISPLAY", display.name)
    Store(tmp_path / "data", hasher=QUICK).close()
    (tmp_path / "data" / "studio.db").write_bytes(b"no database" * 1000)
    shown = []
    monkeypatch.setattr(messagebox, "showerror", lambda _title, text, **_where: shown.append(text))
    with pytest.raises(StorageError):
        open_studio(tmp_path / "data")
    assert shown == []  # a terminal shows it
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(StorageError):
        open_studio(tmp_path / "data")
    (text,) = shown
    assert "--restore" in text
