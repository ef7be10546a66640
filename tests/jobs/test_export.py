from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tenfold.cli.app import app
from tenfold.config import CompressSettings
from tenfold.core.errors import RunError
from tenfold.deploy.runtime import session
from tenfold.jobs.compress import run
from tenfold.jobs.export import export, export_as
from tenfold.runs.directory import RunDirectory


@pytest.fixture
def copy(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(finished.path, tmp_path / "run"))


def test_export_gives_the_bytes_of_the_run_again(copy: RunDirectory) -> None:
    before = copy.onnx.read_bytes()
    copy.onnx.unlink()
    exported = export(copy.path)
    assert exported.path == copy.onnx
    assert copy.onnx.read_bytes() == before
    report = copy.read_report()
    assert exported.original is not None
    assert exported.original.size_bytes == report.before.size_bytes
    assert exported.compressed.size_bytes == report.after.size_bytes
    assert exported.compressed.latency.threads == exported.compressed.latency.batch == 1
    assert exported.difference < 1e-5  # float32 of a network whose answers are of the order of 1
    assert exported.reason == ""


def test_without_the_original_only_the_compressed_is_measured(copy: RunDirectory, tmp_path: Path) -> None:
    copy.job.write_text(copy.job.read_text().replace("weights.safetensors", "gone.safetensors"))
    exported = export(copy.path, tmp_path / "own.onnx")
    assert exported.original is None
    assert "gone.safetensors" in exported.reason
    runtime = session(tmp_path / "own.onnx", threads=1)
    for batch in (1, 3):
        (answer,) = runtime.run(None, {"image": np.zeros((batch, 3, 12, 12), dtype=np.float32)})
        assert answer.shape == (batch, 3)


def test_untraceable_network_is_built_from_its_code(tmp_path: Path, sample: dict[str, object]) -> None:
    (tmp_path / "branching.py").write_text(
        "import job_samples\nfrom torch import nn\n\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, classes, channels):\n"
        "        super().__init__()\n"
        "        self.net = job_samples.tiny(classes, channels)\n\n"
        "    def forward(self, x):\n"
        "        return self.net(x * 2 if x.shape[1] == 3 else x)\n"
    )
    settings = {**sample, "arch": "branching:Net", "weights": None, "out": tmp_path / "run"}
    done = run(CompressSettings.make(settings))
    assert json.loads(done.model.read_text())["graph"] is None
    exported = export(done.path)
    assert exported.original is not None
    assert exported.original.size_bytes == done.read_report().before.size_bytes
    assert exported.compressed.size_bytes == done.read_report().after.size_bytes


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: run.model.unlink(), "cannot read .*model.json: No such file"),
        (lambda run: run.model.write_text("{}"), "it is not what tenfold wrote"),
        (lambda run: run.model.write_text(without_size(run)), "does not say the size of an image"),
        (lambda run: run.weights.write_text("x"), "model.safetensors"),
    ],
)
def test_broken_run(copy: RunDirectory, spoil: object, message: str) -> None:
    spoil(copy)  # type: ignore[operator]
    before = copy.onnx.read_bytes()
    with pytest.raises(RunError, match=message):
        export(copy.path)
    assert copy.onnx.read_bytes() == before


def without_size(run: RunDirectory) -> str:
    content = json.loads(run.model.read_text())
    del content["metadata"]["input"]
    return json.dumps(content)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such folder"):
        export(tmp_path / "none")


@pytest.mark.slow
def test_a_run_as_a_program(copy: RunDirectory) -> None:
    made = export_as(copy.path, "pt2")
    assert made.path == copy.path / "model.pt2"
    assert made.size_bytes == made.path.stat().st_size
    assert made.difference == 0


@pytest.mark.slow
def test_a_run_as_a_folder(copy: RunDirectory, tmp_path: Path) -> None:
    before = copy.weights.stat().st_mtime_ns
    made = export_as(copy.path, "safetensors")
    assert made.path == copy.path
    assert made.size_bytes == copy.weights.stat().st_size + copy.model.stat().st_size
    assert made.difference == 0
    assert copy.weights.stat().st_mtime_ns == before  # the run has it: it is only looked at
    other = export_as(copy.path, "safetensors", tmp_path / "new" / "folder")
    assert other.size_bytes == made.size_bytes
    assert (other.path / "model.json").read_bytes() == copy.model.read_bytes()


@pytest.mark.slow
def test_the_command_line_exports(copy: RunDirectory) -> None:
    def output(*options: str) -> str:
        return CliRunner().invoke(app, ["export", str(copy.path), *options]).output

    assert "model.pt2: " in output("--format", "pt2")
    assert "8 bits are exported to ONNX alone" in output("--format", "pt2", "--int8")
    out = output("--int8")
    assert "model.int8.onnx" in out
    assert "times smaller" in out
