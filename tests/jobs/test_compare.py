from __future__ import annotations

from pathlib import Path

import pytest

from page_reading import check_alone
from run_samples import report, write_run
from tenfold.core.errors import RunError
from tenfold.core.report import Measures
from tenfold.jobs.compare import compare
from tenfold.runs.directory import RunDirectory


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    write_run(tmp_path / "x" / "one")
    write_run(tmp_path / "y" / "two", report(after=Measures(1_000, 90_000, 88.0)))
    return [tmp_path / "x" / "one", tmp_path / "y" / "two"]


def test_table_and_page(runs: list[Path], tmp_path: Path) -> None:
    found = compare(runs, tmp_path / "page.html")
    assert found.names == ("one", "two")
    assert found.measures[0].values == ("90.00", "88.00")
    check_alone((tmp_path / "page.html").read_text())


def test_nothing_is_written_unasked(runs: list[Path], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    compare(runs)
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_of_one_name_are_told_apart_by_their_folders(runs: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path / "z" / "one").path
    assert compare([*runs, other]).names == ("x/one", "y/two", "z/one")


def test_too_few_or_one_twice(runs: list[Path]) -> None:
    with pytest.raises(RunError, match="needs two runs at least"):
        compare(runs[:1])
    with pytest.raises(RunError, match="one was given twice"):
        compare([*runs, runs[0] / ".." / "one"])


def test_runs_that_are_not_finished(runs: list[Path], tmp_path: Path) -> None:
    halves = []
    for name in ("half", "other"):
        run = RunDirectory.create(tmp_path / name)
        run.append_event({"phase": "fit", "done": 1, "total": 9})
        halves.append(run.path)
    found = compare([runs[0], halves[0]])
    assert found.unfinished == ("half is not finished; the last it told: fit, 1 of 9.",)
    with pytest.raises(RunError, match="none of these runs is finished"):
        compare(halves)


def test_one_bad_run_is_named_and_no_page_is_left(runs: list[Path], tmp_path: Path) -> None:
    (runs[1] / "report.json").write_text("{")
    with pytest.raises(RunError, match=r"two/report\.json"):
        compare(runs, tmp_path / "page.html")
    with pytest.raises(RunError, match="there is no such folder"):
        compare([runs[0], tmp_path / "none"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(RunError, match="cannot write"):
        compare([runs[0], write_run(tmp_path / "w").path], tmp_path / "missing" / "page.html")
