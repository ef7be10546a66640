"""The queue: who sees and may do what, what is refused, what is found after a restart."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio_samples import Desk
from tenfold.config import read_toml
from tenfold.core.errors import TenfoldError
from tenfold.studio import queue as queue_module
from tenfold.studio.errors import JobError, RightsError, SessionError, StorageError
from tenfold.studio.process import Process
from tenfold.studio.queue import Queue
from tenfold.studio.sessions import Session

VALUES = {"arch": "resnet20", "data": "digits", "budget": {"params": 0.5}}
SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


class TestList:
    def test_a_job_is_kept_as_its_job_file(self, desk: Desk, tmp_path: Path) -> None:
        job = desk.queue.add(desk.session, "compress", VALUES, tmp_path / "run")
        assert (job.id, job.owner, job.command, job.state) == (1, "Ada", "compress", "queued")
        assert job.run_directory == tmp_path / "run"
        assert not job.run_directory.exists()
        assert job.file.read_text() == job.settings
        assert {name: read_toml(job.file)[name] for name in VALUES} == VALUES
        search = desk.queue.add(desk.session, "search", VALUES)
        assert read_toml(search.file)["until"] == "plan"
        assert read_toml(search.file)["selector"] == "bayes"
        assert search.run_directory == desk.store.path / "runs" / "0002"

    def test_a_job_that_cannot_be_is_refused_at_once_and_leaves_nothing(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "x").write_text("")
        add = desk.queue.add
        with pytest.raises(TenfoldError, match="no scheme 'tuker'"):
            add(desk.session, "compress", {**VALUES, "scheme": "tuker"})
        with pytest.raises(TenfoldError, match="arch is not given"):
            add(desk.session, "learn", {})
        with pytest.raises(JobError, match="no job 'rm'; known are compress"):
            add(desk.session, "rm", {})
        with pytest.raises(JobError, match="export needs a run"):
            add(desk.session, "export", {})
        with pytest.raises(JobError, match="holds something already"):
            add(desk.session, "compress", VALUES, tmp_path / "full")
        with pytest.raises(JobError, match="cannot be written as text"):
            add(desk.session, "demo", {}, tmp_path / "\udcff")
        assert desk.queue.jobs(desk.session) == ()

    def test_a_passphrase_is_kept_in_memory_alone(self, desk: Desk, tmp_path: Path) -> None:
        values = {"run": tmp_path, "target": "folder", "protect": True}
        number = desk.queue.add(desk.session, "pack", values, passphrase="correct horse").id
        kept = [path.read_bytes() for path in desk.store.path.rglob("*") if path.is_file()]
        assert any(b"protect = true" in data for data in kept)
        assert not any(b"horse" in data for data in kept)
        desk.reopen()
        assert desk.queue.poll() == (number,)
        assert desk.job(number).state == "failed"
        assert "make the package anew" in desk.job(number).error

    def test_a_passphrase_is_forgotten_with_the_wish_for_it(self, desk: Desk, tmp_path: Path) -> None:
        values = {"run": tmp_path, "target": "folder", "protect": True}
        number = desk.queue.add(desk.session, "pack", values, passphrase="correct horse").id
        desk.queue.cancel(desk.session, number)
        desk.queue.resume(desk.session, number)
        desk.queue.poll()
        assert "make the package anew" in desk.job(number).error

    def test_two_jobs_do_not_share_a_folder(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        desk.queue.add(desk.session, "compress", VALUES, tmp_path / "run")
        with pytest.raises(JobError, match="folder of job 1, which is queued"):
            desk.queue.add(desk.session, "learn", VALUES, tmp_path / "link" / "run")
        desk.queue.cancel(desk.session, 1)
        desk.queue.add(desk.session, "learn", VALUES, tmp_path / "run")
        with pytest.raises(JobError, match="folder of job 2"):
            desk.queue.resume(desk.session, 1)

    def test_each_sees_the_own_and_an_administrator_all(self, desk: Desk, other: Session) -> None:
        own, shared = desk.queue.add(desk.session, "demo", {}), desk.queue.add(other, "demo", {})
        assert [job.owner for job in desk.queue.jobs(desk.session)] == ["Grace", "Ada"]
        assert desk.queue.jobs(other) == (shared,)
        for act in ("job", "cancel", "resume", "remove", "progress", "events", "log"):
            with pytest.raises(JobError, match=f"no job {own.id} of yours"):
                getattr(desk.queue, act)(other, own.id)
        with pytest.raises(RightsError):
            desk.queue.set_at_once(other, 2)
        desk.queue.cancel(desk.session, shared.id)
        assert desk.queue.job(other, shared.id).state == "cancelled"
        assert desk.job(own.id).state == "queued"

    def test_nothing_is_shown_while_the_screen_is_locked(self, desk: Desk) -> None:
        desk.session.lock()
        for act in (lambda: desk.queue.jobs(desk.session), lambda: desk.queue.add(desk.session, "demo", {})):
            with pytest.raises(SessionError, match="locked"):
                act()
        assert desk.queue.poll() == ()  # work goes on

    def test_a_job_that_waits_is_cancelled_queued_again_and_removed(self, desk: Desk) -> None:
        job = desk.queue.add(desk.session, "demo", {})
        with pytest.raises(JobError, match="queued; cancel it first"):
            desk.queue.remove(desk.session, job.id)
        with pytest.raises(JobError, match="only one that failed or was stopped"):
            desk.queue.resume(desk.session, job.id)
        desk.queue.cancel(desk.session, job.id)
        with pytest.raises(JobError, match="cancelled already"):
            desk.queue.cancel(desk.session, job.id)
        desk.queue.resume(desk.session, job.id)
        assert desk.job().state == "queued"
        assert desk.job().ended is None
        desk.queue.cancel(desk.session, job.id)
        desk.queue.remove(desk.session, job.id)
        assert desk.queue.jobs(desk.session) == ()
        assert desk.queue.add(desk.session, "demo", {}).id == 2  # a number is given once

    def test_at_once_is_kept_and_bounded(self, desk: Desk) -> None:
        assert desk.queue.at_once == 1
        for count in (0, 65):
            with pytest.raises(JobError, match="take 1 to 64"):
                desk.queue.set_at_once(desk.session, count)
        desk.queue.set_at_once(desk.session, 3)
        desk.reopen()
        assert desk.queue.at_once == 3


def set_running(desk: Desk, number: int, process: str | None, **more: object) -> None:
    """As if this program had ended while the job ran."""
    columns = {"state": "running", "process": process, "started": time.time(), **more}
    desk.queue._update(number, **columns)


class TestAfterARestart:
    def test_of_jobs_that_ran_those_with_a_process_run(self, desk: Desk, tmp_path: Path) -> None:
        for _ in range(4):
            desk.queue.add(desk.session, "demo", {})
        alive, dead = (Process.start(SLEEPS, log=tmp_path / "log", folder=tmp_path) for _ in range(2))
        dead.kill()
        while not dead.ended():
            time.sleep(0.02)
        set_running(desk, 1, alive.text)
        set_running(desk, 2, dead.text)
        set_running(desk, 3, f"{alive.pid} of-another-start", cancel_asked=1.0)
        set_running(desk, 4, None)
        again = Queue(desk.store._database, desk.store.accounts, desk.store.path)
        states = {job.id: job.state for job in again.jobs(desk.session)}
        assert states == {1: "running", 2: "interrupted", 3: "cancelled", 4: "interrupted"}
        assert "stopped while it ran" in again.job(desk.session, 2).error
        again.cancel(desk.session, 1)
        while again.job(desk.session, 1).state == "running":
            alive.ended()  # it is this test that has to ask for the status
            again.poll()
            time.sleep(0.02)
        assert again.job(desk.session, 1).state == "cancelled"


class TestStarts:
    def test_what_cannot_be_started_says_why_and_does_not_stop_the_next(
        self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        desk.queue.add(desk.session, "demo", {})
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(tmp_path / "here")
        desk.queue.add(desk.session, "demo", {}, tmp_path / "late")
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "x").write_text("")
        assert desk.queue.poll() == (1, 2)
        assert [desk.job(number).state for number in (1, 2)] == ["failed", "failed"]
        assert desk.job(1).error == f"cannot start: No such file or directory: {tmp_path / 'here'}"
        assert "holds something by now that is not of this job" in desk.job(2).error

    def test_a_process_whose_number_cannot_be_kept_is_ended(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue_module, "arguments_of", lambda job: (SLEEPS, job.run_directory))
        desk.queue.add(desk.session, "demo", {})
        started: list[Process] = []

        def start(*arguments: Any, **options: Any) -> Process:
            started.append(real(*arguments, **options))
            desk.store._database._connection.execute("PRAGMA query_only = ON")
            return started[0]

        real = Process.start
        monkeypatch.setattr(Process, "start", start)
        with pytest.raises(StorageError, match="cannot write"):
            desk.queue.poll()
        desk.store._database._connection.execute("PRAGMA query_only = OFF")
        while not started[0].ended():
            time.sleep(0.02)
        assert started[0].status == -signal.SIGKILL
        assert desk.queue.poll() == (1,)
        assert desk.job().state == "interrupted"
