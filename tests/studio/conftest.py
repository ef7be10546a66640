"""A data folder with someone at it, a window on it, and what a job needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from display import Screen, lasting_display
from job_samples import SETTINGS, write_images, write_weights
from studio_samples import PASSWORD, Desk, Opened, open_desk, opened
from tenfold.studio import queue as queue_module
from tenfold.studio.sessions import Session

if TYPE_CHECKING:
    from window_driver import User


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs find the sample network, and use nothing of this user's."""
    folders = [str(Path(queue_module.__file__).parents[2]), str(Path(__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data") as found:
        yield found


@pytest.fixture
def desk(tmp_path: Path, surroundings: None) -> Iterator[Desk]:
    found = open_desk(tmp_path / "data")
    yield found
    for running in found.queue._running.values():
        running.process.kill()
        while not running.process.ended():
            time.sleep(0.02)
    found.store.close()


@pytest.fixture
def other(desk: Desk) -> Session:
    """Someone who is no administrator."""
    given = desk.store.accounts.add(desk.session, "Grace")
    session = desk.store.accounts.login("Grace", given)
    desk.store.accounts.change_password(session, given, f"{PASSWORD} or so")
    return session


@pytest.fixture
def sample(tmp_path: Path) -> dict[str, Any]:
    """Settings of a job of some seconds."""
    write_images(tmp_path / "images")
    weights = write_weights(tmp_path / "weights.safetensors")
    # Paths from where the program was when the job was queued, as in a terminal.
    return {**SETTINGS, "data": "images", "weights": weights.name, "threads": 1}


@pytest.fixture(scope="module")
def display() -> Screen:
    """A screen of its own."""
    return lasting_display("1280x800")


@pytest.fixture
def user(
    display: Screen, tmp_path: Path, surroundings: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[User]:
    """Someone at the window of a new data folder."""
    from window_driver import User  # needs Tk, without which the other tests do

    monkeypatch.setenv("DISPLAY", display.name)
    monkeypatch.setenv("LANG", "C.UTF-8")
    found = User.at(tmp_path / "data")
    yield found
    found.leave()
