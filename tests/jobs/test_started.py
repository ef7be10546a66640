from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tenfold.core.errors import InterruptedRunError, RunError, TenfoldError
from tenfold.jobs.started import alone_in, free_run, gone_on_with, started, threads
from tenfold.runs.checkpoint import Checkpoint
from tenfold.runs.directory import RunDirectory


def fails(out: Path, error: type[BaseException], *, far: bool) -> None:
    with started(out) as run:
        run.append_event({"phase": "load"})
        run.job.write_text("")
        if far:
            Checkpoint(run.checkpoint).save("fitted", {})
        raise error("no")


@pytest.mark.parametrize(
    ("error", "met"),
    [
        (RunError, RunError),
        (KeyboardInterrupt, InterruptedRunError),
        (ZeroDivisionError, ZeroDivisionError),
    ],
)
def test_leaves_nothing_where_there_is_nothing_to_go_on_from(
    tmp_path: Path, error: type[BaseException], met: type[BaseException]
) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(met) as caught:
        fails(tmp_path / "a" / "b" / "run", error, far=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
    assert getattr(caught.value, "resumable", None) is None


@pytest.mark.parametrize(("error", "met"), [(RunError, RunError), (KeyboardInterrupt, InterruptedRunError)])
def test_leaves_what_can_be_gone_on_with_and_says_so(
    tmp_path: Path, error: type[BaseException], met: type[TenfoldError]
) -> None:
    out = tmp_path / "run"
    with pytest.raises(met) as caught:
        fails(out, error, far=True)
    assert (out / "checkpoint" / "fitted.pt").is_file()
    assert caught.value.resumable == out


def test_a_study_is_worth_going_on_with(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run")
    run.study.write_text("")
    assert not run.resumable  # its settings are not known
    run.job.write_text("")
    assert run.resumable


def test_a_run_that_is_gone_on_with_stays(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run")
    with pytest.raises(RunError), gone_on_with(run):
        raise RunError("no")
    assert run.path.is_dir()


def test_two_processes_do_not_work_in_one_run(tmp_path: Path) -> None:
    with started(tmp_path / "run") as run:
        run.job.write_text('arch = "small"\ndata = "digits"\nbudget = { params = 0.5 }\n')
        assert run.lock.is_file()
        command = [sys.executable, "-m", "tenfold", "resume", str(run.path)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 2
        assert " ".join(made.stderr.split()) == (
            f"error: cannot go on with {run.path}: another process works in it; wait for its end, or stop it"
        )
        with pytest.raises(RunError, match="another process works in it"), alone_in(run):
            pass
        assert run.lock.is_file()
    assert not run.lock.exists()
    with alone_in(run):
        assert run.lock.is_file()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run")
    code = """if True:
        import os, sys
        from tenfold.jobs.started import alone_in
        from tenfold.runs.directory import RunDirectory
        with alone_in(RunDirectory(sys.argv[1])):
            os._exit(9)
    """
    assert subprocess.run([sys.executable, "-c", code, run.path], check=False).returncode == 9
    assert run.lock.is_file()
    with alone_in(run):
        pass
    assert not run.lock.exists()


def test_a_folder_that_takes_no_lock_is_left_to_what_is_written_first(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run")
    run.lock.mkdir()
    with alone_in(run):
        run.append_event({})
    assert run.events_file.is_file()


def test_leaves_what_others_put_beside_it(tmp_path: Path) -> None:
    def fails() -> None:
        with started(tmp_path / "b" / "run"):
            (tmp_path / "b" / "theirs").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["theirs"]


def test_takes_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with started(tmp_path / "run") as run:
        run.append_event({})
    assert (tmp_path / "run" / "events.jsonl").is_file()


def test_refuses_a_taken_name(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="it exists"), started(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_file()


def test_free_run_counts_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert free_run("x") == Path("runs/x")
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x-2").mkdir()
    assert free_run("x") == Path("runs/x-3")


def test_threads_are_set_for_a_while() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with threads(None):
            assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
