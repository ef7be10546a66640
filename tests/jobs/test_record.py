from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from run_samples import report, write_run
from tenfold.core.errors import PlanError, RunError, TenfoldError
from tenfold.core.plan import Choice, Plan
from tenfold.jobs.record import read_record
from tenfold.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return write_run(tmp_path / "first")


def edited(run: RunDirectory, **changes: Any) -> None:
    run.report.write_text(json.dumps({**json.loads(run.report.read_text()), **changes}))


def edited_layer(run: RunDirectory, **changes: Any) -> None:
    first, *rest = json.loads(run.report.read_text())["layers"]
    edited(run, layers=[{**first, **changes}, *rest])


def test_finished_run(run: RunDirectory) -> None:
    found = read_record(run, "mine")
    assert found.name == "mine"
    assert found.report == report()
    assert found.settings == report().settings
    assert "Decomposition" in found.meanings["scheme"]
    assert found.search is not None
    assert (found.plan, found.last) == (None, None)


def test_run_that_is_not_finished(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "half")
    run.write_plan(Plan({"conv": Choice("svd", (3,))}))
    run.job.write_text('seed = 4\narch = "small"\n')
    for done in (0, 7):
        run.append_event({"time": 1.0, "phase": "fit", "done": done, "total": 9})
    found = read_record(run, "half")
    assert found.report is None
    assert found.plan == {"conv": Choice("svd", (3,))}
    assert found.settings == {"seed": 4, "arch": "small"}
    assert found.standing == "not finished; the last it told: fit, 7 of 9"
    assert found.search is None


def test_a_report_of_another_version_names_both(run: RunDirectory) -> None:
    edited(run, versions={"tenfold": "9.9.9"}, speed=3)
    with pytest.raises(RunError, match=r"report\.json: tenfold 9\.9\.9 wrote it, and this is \d+\.\d+"):
        read_record(run, "a")


def test_a_report_of_another_version_that_can_be_read_is_read(run: RunDirectory) -> None:
    edited(run, versions={"tenfold": "9.9.9"})
    assert read_record(run, "a").report is not None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run.report.write_text("{"),
        lambda run: run.report.write_text("[]"),
        lambda run: run.report.write_bytes(b"\xff\xfe"),
        lambda run: edited(run, speed=3),
        lambda run: edited(run, settings=[1]),
        lambda run: edited(run, seconds={"fit": "long"}),
        lambda run: edited(run, seconds=[1]),
        lambda run: edited(run, versions=None),
        lambda run: edited(run, history=[1]),
        lambda run: edited(run, history=[{"phase": "training"}]),
        lambda run: edited_layer(run, macs=["x", 1]),
        lambda run: edited_layer(run, params=[1]),
        lambda run: edited_layer(run, predicted_rise="high"),
        lambda run: edited(run, after={"params": "few", "macs": 1}),
    ],
)
def test_broken_report(run: RunDirectory, spoil: Callable[[RunDirectory], None]) -> None:
    spoil(run)
    with pytest.raises(RunError, match=r"report\.json.*run the job again"):
        read_record(run, "a")


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("search.json", "{", RunError, r"search\.json: this is no search\.json"),
        ("events.jsonl", "{\n", RunError, r"events\.jsonl, line 1"),
        ("plan.json", "[]", PlanError, r"plan\.json: a plan maps layer names"),
        ("job.toml", "=", TenfoldError, r"job\.toml: this is no TOML"),
    ],
)
def test_broken_file_of_a_run_that_is_not_finished(
    run: RunDirectory, name: str, text: str, error: type[Exception], message: str
) -> None:
    run.report.unlink()
    (run.path / name).write_text(text)
    with pytest.raises(error, match=message):
        read_record(run, "a")
