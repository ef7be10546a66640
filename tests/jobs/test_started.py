from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tenfold.core.errors import InterruptedRunError, RunError, TenfoldError
from tenfold.jobs.started import free_run, gone_on_with, started, threads
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
