"""Jobs in two processes: the result of one, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

PROGRAM = Path(__file__).parent.parent / "quick_states.py"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    folders = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    cache = str(tmp_path / "cache")
    return {**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1", "TENFOLD_CACHE": cache}


def arguments(sample: dict[str, Any], out: Path, epochs: int) -> list[str]:
    options = {
        **{name: sample[name] for name in ("arch", "data", "weights", "cache", "scheme", "calibration")},
        "budget": "params=0.6",
        "recovery-steps": 5,
        "recovery-batch": 16,
        "workers": 1,
        "epochs": epochs,
        "batch": 8,
        "rate": 0.01,
        "form": "chain",
        "precision": "float32",
        "threads": 1,
        "out": out,
    }
    return ["compress", *(part for name, value in options.items() for part in (f"--{name}", str(value)))]


TOGETHER = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    str(PROGRAM),
]


@pytest.mark.slow
def test_two_processes_ship_what_one_does(
    sample: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    for start, name in (([sys.executable, str(PROGRAM)], "one"), (TOGETHER, "two")):
        done = subprocess.run(
            [*start, *arguments(sample, tmp_path / name, 2)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.count("run directory") == 1
    one, two = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert list(one) == list(two)
    for name, tensor in one.items():
        # Twelve steps whose sums go in another order: some hundred float32 roundings.
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)


def processes_of(parent: int) -> list[int]:
    """The children of a process, in the order of their ranks."""
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    return sorted(map(int, found.stdout.split()))


@pytest.mark.slow
def test_a_process_that_dies_ends_the_job_which_can_be_gone_on_with(
    sample: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    started = subprocess.Popen(
        [*TOGETHER, *arguments(sample, out, 3000)], env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (out / "checkpoint" / "training.pt").exists():
        assert started.poll() is None
        time.sleep(0.05)
    os.kill(processes_of(started.pid)[-1], signal.SIGKILL)
    _, said = started.communicate(timeout=120)
    assert started.returncode != 0
    assert "SIGKILL" in said
    assert (out / "checkpoint" / "training.pt").exists()
    assert not (out / "report.json").exists()
    step = torch.load(out / "checkpoint" / "training.pt", weights_only=True)["step"]
    resumed = subprocess.Popen([*TOGETHER, "resume", str(out)], env=environment, stderr=subprocess.DEVNULL)
    try:
        while torch.load(out / "checkpoint" / "training.pt", weights_only=True)["step"] <= step:
            assert resumed.poll() is None
            time.sleep(0.1)
    finally:
        resumed.terminate()
        resumed.wait()
