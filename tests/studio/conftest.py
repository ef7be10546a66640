"""A data folder with someone at it, and what a job needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from job_samples import SETTINGS, write_images, write_weights
from studio_samples import PASSWORD, Desk, open_desk
from tenfold.studio import queue as queue_module
from tenfold.studio.sessions import Session


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs find the sample network, and use nothing of this user's."""
    folders = [str(Path(queue_module.__file__).parents[2]), str(Path(__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)


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
