from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tenfold.cli.render import int8_table
from tenfold.config import CompressSettings
from tenfold.jobs import quantise as quantise_job
from tenfold.jobs.quantise import quantise_run
from tenfold.runs.directory import RunDirectory


@pytest.fixture
def copy(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(finished.path, tmp_path / "run"))


def test_a_run_in_eight_bits(copy: RunDirectory) -> None:
    made = quantise_run(copy.path)
    assert made.path == copy.path / "model.int8.onnx"
    assert made.goal == "bytes"  # its budget is on parameters
    assert list(made.files) == ["original", "compressed", "int8"]
    report, (original, compressed, int8) = copy.read_report(), made.files.values()
    assert original.size_bytes == report.before.size_bytes
    assert compressed.size_bytes == report.after.size_bytes
    assert compressed.accuracy == pytest.approx(report.after.accuracy)
    assert original.accuracy == pytest.approx(report.before.accuracy)
    assert int8.size_bytes == made.path.stat().st_size
    assert abs(int8.held_out - compressed.held_out) <= 0.5 or made.kept
    content = json.loads((copy.path / "int8.json").read_text())
    assert content["files"]["int8"]["size_bytes"] == int8.size_bytes
    assert content["path"] == "model.int8.onnx"
    assert int8_table(made).row_count == 6


@pytest.mark.parametrize(
    ("budget", "goal"),
    [("latency=0.9", "latency"), ("macs=0.9", "latency"), ("size_bytes=0.9", "bytes")],
)
def test_what_eight_bits_are_for(
    copy: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, budget: str, goal: str
) -> None:
    settings = CompressSettings.make({"arch": "small", "data": "digits", "budget": [budget, "params=0.9"]})
    if goal == "latency" and budget.startswith("macs"):
        settings = settings.with_values(budget={"macs": 0.9})
    monkeypatch.setattr(quantise_job, "job_settings", lambda _: settings)
    monkeypatch.setattr(quantise_job, "images_of", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert quantise_job._goal(settings) == goal
    with pytest.raises(KeyboardInterrupt):
        quantise_run(copy.path, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
