"""Real jobs: in turn, cancelled, gone on with, and dying in every way."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio_samples import Desk
from tenfold.runs.directory import RunDirectory
from tenfold.studio import queue as queue_module

LONG = 100_000  # steps of a recovery that does not end by itself
STEPS = 6000  # a checkpoint is kept long before they are over, also where nothing else runs
OPENS = """
import sys, time
from studio_samples import PASSWORD, QUICK
from tenfold.studio.store import Store
store = Store(sys.argv[1], hasher=QUICK)
session = store.accounts.login("Ada", PASSWORD)
while store.queue.progress(session, 1).phase != "recover":
    store.queue.poll()
    time.sleep(0.1)
print("recovering", flush=True)
time.sleep(600)
"""


pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_two_in_turn_with_progress_and_a_log(desk: Desk, sample: dict[str, Any]) -> None:
    for _ in range(2):
        desk.queue.add(desk.session, "compress", sample)
    assert desk.queue.poll() == (1,)
    assert [desk.job(number).state for number in (1, 2)] == ["running", "queued"]
    assert desk.until_over(1).state == "done"
    assert desk.job(1).error == ""
    assert RunDirectory(desk.job(1).run_directory).read_report().after.accuracy is not None
    progress = desk.queue.progress(desk.session, 1)
    assert (progress.phase, progress.done, progress.total) == ("export", 3, 3)
    assert "recover" in progress.phases
    assert desk.queue.events(desk.session, 1) == list(RunDirectory(desk.job(1).run_directory).events())
    assert desk.queue.events(desk.session, 1, since=3)[0] == desk.queue.events(desk.session, 1)[3]
    assert f"run directory: {desk.job(1).run_directory}" in desk.queue.log(desk.session, 1)
    assert desk.until_over(2).state == "done"
    first, second = desk.job(1), desk.job(2)
    assert first.ended is not None
    assert second.started is not None
    assert second.started >= first.ended
    export = desk.queue.add(desk.session, "export", {"run": first.run_directory, "out": "small.onnx"})
    assert desk.until_over(export.id).state == "done", desk.queue.log(desk.session, export.id)
    assert Path("small.onnx").stat().st_size > 1000


def test_two_at_once(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.set_at_once(desk.session, 2)
    for _ in range(3):
        desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": LONG})
    assert desk.queue.poll() == (1, 2)
    assert [desk.job(number).state for number in (1, 2, 3)] == ["running", "running", "queued"]
    desk.queue.cancel(desk.session, 2)
    assert desk.job(2).cancelling
    assert desk.until_over(2).state == "cancelled"
    desk.poll_until(lambda: desk.job(3).state == "running")
    assert desk.job(1).state == "running"


def test_a_cancelled_job_goes_on_where_it_was(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": STEPS})
    desk.until_recovering()
    desk.queue.cancel(desk.session, 1)
    assert desk.until_over().state == "cancelled"
    assert "go on with: tenfold resume" in desk.queue.log(desk.session, 1)
    assert desk.job().has_work
    events = len(desk.queue.events(desk.session, 1))
    desk.queue.resume(desk.session, 1)
    assert desk.until_over().state == "done"
    phases = [event["phase"] for event in desk.queue.events(desk.session, 1)[events:]]
    assert "recover" in phases
    assert "fit" not in phases  # was done


def test_a_job_cancelled_at_its_start_begins_anew(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", sample)
    desk.queue.poll()
    time.sleep(0.5)  # Python is about to import torch
    desk.queue.cancel(desk.session, 1)
    assert desk.until_over().state == "cancelled"
    assert not desk.job().has_work
    desk.queue.resume(desk.session, 1)
    assert desk.until_over().state == "done"


def test_a_job_that_does_not_stop_is_ended(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": LONG})
    desk.until_recovering()
    pid = desk.queue._running[1].process.pid
    os.kill(pid, signal.SIGSTOP)  # hears nothing
    desk.queue._grace_s = 0.2
    desk.queue.cancel(desk.session, 1)
    queue_module._KILL_S, kept = 0.2, queue_module._KILL_S
    try:
        assert desk.until_over().state == "cancelled"
    finally:
        queue_module._KILL_S = kept
    assert desk.job().has_work


def test_a_killed_job_says_so_and_goes_on(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": STEPS})
    desk.until_recovering()
    os.kill(desk.queue._running[1].process.pid, signal.SIGKILL)
    assert desk.until_over().state == "failed"
    assert "was killed (SIGKILL)" in desk.job().error
    desk.queue.resume(desk.session, 1)
    assert desk.until_over().state == "done"


def test_what_a_kill_left_without_settings_stays_and_a_new_folder_is_taken(
    desk: Desk, sample: dict[str, Any], tmp_path: Path
) -> None:
    desk.queue.add(desk.session, "compress", sample, tmp_path / "run")
    desk.poll_until(lambda: (tmp_path / "run" / "events.jsonl").exists())
    os.kill(desk.queue._running[1].process.pid, signal.SIGKILL)
    assert desk.until_over().state == "failed"
    (tmp_path / "run" / "job.toml").unlink(missing_ok=True)
    desk.queue.resume(desk.session, 1)
    assert desk.until_over().state == "done"
    assert desk.job().run_directory == tmp_path / "run-2"
    assert (tmp_path / "run" / "events.jsonl").exists()


def test_a_refused_job_says_why(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", {**sample, "data": "nowhere"})
    assert desk.until_over().state == "failed"
    assert desk.job().error.startswith("no data")
    assert "nowhere" in desk.job().error


def test_a_folder_removed_under_a_job(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": LONG})
    desk.until_recovering()
    shutil.rmtree(desk.job().run_directory)
    assert desk.until_over().state == "failed"
    assert f"the run folder {desk.job().run_directory} was removed or moved" in desk.job().error


def test_a_full_disk(desk: Desk, sample: dict[str, Any]) -> None:
    """A limit on the size of files stands in for a full disk; the log keeps below it."""
    desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": STEPS})
    desk.until_recovering()
    pid = desk.queue._running[1].process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    assert desk.until_over().state == "failed"
    assert "File too large; free space" in desk.job().error
    desk.queue.resume(desk.session, 1)  # space was freed
    assert desk.until_over().state == "done"


def test_the_program_is_killed_then_the_job_too(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", {**sample, "recovery_steps": STEPS})
    desk.store.close()
    call = [sys.executable, "-c", OPENS, str(desk.store.path)]
    killed = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "recovering\n"
    killed.kill()
    killed.communicate()
    desk.reopen()
    assert desk.job().state == "running"
    desk.poll_until(lambda: desk.queue.progress(desk.session, 1).left_s is not None)
    desk.reopen()
    os.kill(desk.queue._running[1].process.pid, signal.SIGKILL)  # with the computer, as it were
    desk.until_over()
    assert desk.job().state == "interrupted"
    assert "go on with it" in desk.job().error
    desk.queue.resume(desk.session, 1)
    assert desk.until_over().state == "done"


def test_a_job_that_ended_without_the_program_is_done(desk: Desk, sample: dict[str, Any]) -> None:
    desk.queue.add(desk.session, "compress", sample)
    desk.queue.poll()
    process = desk.queue._running[1].process
    desk.store.close()
    while not process.ended():
        time.sleep(0.1)
    desk.reopen()
    assert desk.job().state == "done"
