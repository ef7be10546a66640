from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.core.errors import RunError
from tenfold.jobs.staged import free_run, staged


def test_appears_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "run"
    with staged(out) as part:
        (part.path / "x").write_text("1")
        assert not out.exists()
        assert part.path.parent == out.parent
    assert [path.name for path in out.iterdir()] == ["x"]
    assert [path.name for path in out.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [RunError, KeyboardInterrupt, ZeroDivisionError])
def test_leaves_nothing_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").mkdir()

    def fails() -> None:
        with staged(tmp_path / "a" / "b" / "run") as part:
            (part.path / "x").write_text("1")
            raise error

    with pytest.raises(error):
        fails()
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_leaves_what_others_put_beside_it(tmp_path: Path) -> None:
    def fails() -> None:
        with staged(tmp_path / "b" / "run"):
            (tmp_path / "b" / "theirs").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["theirs"]


def test_takes_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with staged(tmp_path / "run") as part:
        (part.path / "x").write_text("1")
    assert (tmp_path / "run" / "x").is_file()


def test_refuses_a_taken_name(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="it exists"), staged(tmp_path / "run"):
        pass


def test_a_name_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def is_late() -> None:
        with staged(tmp_path / "run"):
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "theirs").write_text("1")

    with pytest.raises(RunError, match="cannot name the run"):
        is_late()
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "theirs"]


def test_free_run_counts_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert free_run("x") == Path("runs/x")
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x-2").mkdir()
    assert free_run("x") == Path("runs/x-3")
