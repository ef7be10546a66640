"""A job that is killed at any moment, and gone on with, ends with the bits of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from job_samples import write_weights
from tenfold.config import CompressSettings, read_toml
from tenfold.core.errors import DataError, InterruptedRunError, RunError
from tenfold.jobs.compress import resume, run

PROGRAM = Path(__file__).parent.parent / "quick_states.py"
MOMENTS = ["search", "fit", "recover", "train", "evaluate", "export"]
CHANGING = ("seconds", "latency_ms")


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(PROGRAM), *arguments]


def environment(tmp_path: Path) -> dict[str, str]:
    folders = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": folders,
        "OMP_NUM_THREADS": "1",
        "TENFOLD_CACHE": str(tmp_path / "cache"),
    }


@pytest.fixture
def arguments(sample: dict[str, Any], tmp_path: Path) -> list[str]:
    del tmp_path
    options = {
        "arch": sample["arch"],
        "data": sample["data"],
        "weights": sample["weights"],
        "cache": sample["cache"],
        "budget": "params=0.6",
        "scheme": "svd",
        "selector": "bayes",
        "trials": 6,
        "trial-steps": 5,
        "calibration": 16,
        "workers": 1,
        "recovery-steps": 100,
        "recovery-batch": 16,
        "epochs": 30,
        "batch": 8,
        "schedule": "cosine-cyclic",
        "cycles": 3,
        "averaging": 0.9,
        "distillation": 0.5,
        "threads": 1,
    }
    return ["compress", *(part for name, value in options.items() for part in (f"--{name}", str(value)))]


def kill_in(phase: str, out: Path, started: subprocess.Popen[bytes], wait: float) -> None:
    """Kill the process some time after it tells of a phase."""
    events = out / "events.jsonl"
    while started.poll() is None:
        if events.exists() and f'"{phase}"' in events.read_text():
            time.sleep(wait)
            started.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    started.wait()


def bare(content: Any) -> Any:
    """A report without what a clock measured and where it lies."""
    if isinstance(content, dict):
        kept = {k: v for k, v in content.items() if k not in (*CHANGING, "out")}
        return {k: bare(v) for k, v in kept.items()}
    return [bare(part) for part in content] if isinstance(content, list) else content


@pytest.mark.slow
def test_a_killed_job_ends_with_the_same_bits(arguments: list[str], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    places = {"env": environment(tmp_path), "stderr": subprocess.PIPE}
    subprocess.run(
        [*command(*arguments), "--out", str(whole)], check=True, capture_output=True, env=places["env"]
    )
    draw = random.Random(0)
    started = subprocess.Popen([*command(*arguments), "--out", str(killed)], env=places["env"])
    for phase in MOMENTS:
        kill_in(phase, killed, started, draw.uniform(0, 1))
        started = subprocess.Popen(command("resume", str(killed)), env=places["env"])
    assert started.wait() == 0
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (killed / "plan.json").read_text() == (whole / "plan.json").read_text()
    reports = [json.loads((path / "report.json").read_text()) for path in (whole, killed)]
    assert bare(reports[1]) == bare(reports[0])
    assert not (killed / "checkpoint").exists()
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.slow
def test_ctrl_c_stops_and_says_how_to_go_on(arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    started = subprocess.Popen(
        [*command(*arguments), "--out", str(out)],
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out / "checkpoint" / "recovery.pt").exists():
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate()
    assert started.returncode == 130
    assert said.splitlines()[-1] == f"interrupted; go on with: tenfold resume {out}"
    assert subprocess.run(command("resume", str(out)), env=environment(tmp_path), check=False).returncode == 0


def interrupted(sample: dict[str, Any], out: Path, **changes: Any) -> None:
    """A run that is stopped in its recovery."""

    def stop(phase: str, *_: int) -> None:
        if phase == "recover":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run(CompressSettings.make({**sample, "out": out, **changes}), stop)


def test_a_lost_data_folder_loses_nothing(sample: dict[str, Any], tmp_path: Path) -> None:
    data = tmp_path / "images"
    data.symlink_to(str(sample["data"]))
    interrupted(sample, tmp_path / "run", data=str(data))
    lost = read_toml(tmp_path / "run" / "job.toml")
    (tmp_path / "run" / "job.toml").write_text(
        (tmp_path / "run" / "job.toml").read_text().replace(lost["data"], str(tmp_path / "gone"))
    )
    with pytest.raises(DataError, match="gone") as caught:
        resume(tmp_path / "run")
    assert caught.value.resumable == tmp_path / "run"
    (tmp_path / "gone").symlink_to(str(sample["data"]))
    done = resume(tmp_path / "run")
    assert done is not None
    assert done.read_report().after.accuracy is not None


def test_other_weights_are_not_gone_on_with(sample: dict[str, Any], tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w.safetensors")
    interrupted(sample, tmp_path / "run", weights=weights)
    write_weights(tmp_path / "w.safetensors", **{"0__bias": torch.ones(12)})
    with pytest.raises(RunError, match="not those that the run was begun with"):
        resume(tmp_path / "run")


def test_a_finished_run_is_only_shown_again(sample: dict[str, Any], tmp_path: Path) -> None:
    done = run(CompressSettings.make({**sample, "out": tmp_path / "run"}))
    assert done is not None
    bits = done.weights.read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run" / ".report.html.0123456789abcdef.tmp").write_text("what a killed writer leaves")
    again = resume(tmp_path / "run", lambda *_: pytest.fail("did something"))
    assert again is not None
    assert (tmp_path / "run" / "report.html").is_file()
    assert not list(again.path.glob(".*"))
    assert again.weights.read_bytes() == bits


@pytest.mark.parametrize(
    ("files", "message"), [({}, "no such folder"), ({"events.jsonl": ""}, "before it wrote")]
)
def test_what_was_never_begun_is_not_gone_on_with(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / name).write_text(text)
    with pytest.raises(RunError, match=message):
        resume(tmp_path / "run")
