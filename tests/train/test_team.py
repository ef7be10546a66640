from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import together
from tenfold.train.team import ALONE, Team, joined


def test_alone_nothing_is_sent() -> None:
    tensor = torch.tensor([1.0, 2.0])
    ALONE.mean_([tensor])
    assert ALONE.sum(tensor) is tensor
    assert tensor.tolist() == [1.0, 2.0]
    assert ALONE.mean(0.1) == 0.1
    assert ALONE.told("a") == "a"
    ALONE.wait()
    with joined() as team:
        assert team == ALONE


def test_shares_are_equal_parts_in_order() -> None:
    batch = torch.arange(6)
    assert [Team(rank, 3).share(batch).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    together.main(tmp_path / "one.pt")
    run = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        together.__file__,
    ]
    folders = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    subprocess.run([*run, str(tmp_path / "two.pt")], check=True, env=environment, capture_output=True)
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    # Sums in another order, ten steps long: a few hundred float32 roundings of 6e-8 each.
    torch.testing.assert_close(two["losses"], one["losses"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(two["tensors"], one["tensors"], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        two["found"], one["found"], rtol=1e-3, atol=0.6
    )  # an image of 599 may change side
    assert two["names"] == one["names"]
