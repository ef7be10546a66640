from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.jobs import events
from tenfold.jobs.events import noted, recorded
from tenfold.options import silent
from tenfold.runs.directory import RunDirectory


def test_records_changes_seconds_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(events, "monotonic", lambda: now[0])
    told: list[tuple[str, int, int]] = []
    run = RunDirectory.create(tmp_path / "run")
    tell = recorded(lambda *what: told.append(what), run)
    for step, seconds in enumerate((0, 0.4, 0.9, 1.1, 1.2)):
        now[0] = 100 + seconds
        tell("fit", step, 9)
    tell("fit", 9, 9)
    tell("train", 0, 2)
    assert told == [*(("fit", n, 9) for n in (0, 1, 2, 3, 4, 9)), ("train", 0, 2)]
    written = [(event["phase"], event["done"]) for event in run.events()]
    assert written == [("fit", 0), ("fit", 3), ("fit", 9), ("train", 0)]


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent("fit", 0, 1)
    assert capsys.readouterr() == ("", "")


def test_notes_one_step_a_second_and_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(events, "monotonic", lambda: now[0])
    run = RunDirectory.create(tmp_path / "run")
    note = noted(run)
    for step, seconds in enumerate((0, 0.5, 1.0, 1.5, 2.5)):
        now[0] = 100 + seconds
        note({"phase": "recovery", "step": step, "loss": 2.0, "rate": 0.1})
    for cycle in (1, 2):
        note({"phase": "snapshot", "cycle": cycle, "step": 9, "held_out_accuracy": 90.0})
    note({"phase": "training", "step": 1, "loss": 2.0, "rate": 0.1})
    told = [(row["phase"], row.get("step")) for row in run.events()]
    assert told == [
        ("recovery", 0),
        ("recovery", 2),
        ("recovery", 4),
        ("snapshot", 9),
        ("snapshot", 9),
        ("training", 1),
    ]
    assert all(row["time"] > 0 for row in run.events())
