from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from page_reading import check_alone
from run_samples import write_run
from tenfold.core.errors import RunError
from tenfold.jobs.report import report, write_page
from tenfold.runs.directory import RunDirectory


def test_page_is_in_the_run_and_the_same_each_time(tmp_path: Path) -> None:
    run = write_run(tmp_path / "first")
    made = report(run.path)
    assert made.path == run.path / "report.html"
    text = made.path.read_bytes()
    check_alone(text.decode())
    assert b"<h1>first</h1>" in text
    assert report(run.path).path.read_bytes() == text
    assert sorted(path.name for path in run.path.iterdir()) == ["report.html", "report.json", "search.json"]


def test_name_of_the_run_is_that_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "<script>")
    monkeypatch.chdir(run.path)
    text = report(Path()).path.read_text()
    assert "<h1>&lt;script&gt;</h1>" in text
    assert "<script" not in text
    assert "<h1>other</h1>" in write_page(run, "other").path.read_text()


def test_run_that_is_not_finished_gets_a_page_that_says_so(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "half")
    run.append_event({"phase": "fit", "done": 1, "total": 9})
    made = report(run.path)
    assert made.record.report is None
    assert "This run is not finished; the last it told: fit, 1 of 9." in made.path.read_text()


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such folder"):
        report(tmp_path / "none")
    with pytest.raises(RunError, match="it holds none of"):
        report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_finished_job_leaves_its_page(finished: RunDirectory) -> None:
    text = (finished.path / "report.html").read_text()
    check_alone(text)
    assert "<h1>first</h1>" in text
    assert report(finished.path).path.read_text() == text


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the owner of all files may write")
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    run = write_run(tmp_path / "first")
    run.path.chmod(0o500)
    with pytest.raises(RunError, match="cannot write"):
        report(run.path)
    run.path.chmod(0o700)
