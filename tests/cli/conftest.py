"""Small inputs for the command line, in a folder that is the current one."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from job_samples import write_images, write_weights
from tenfold.cli.app import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inputs(folder: Path) -> list[str]:
    """Options of a job that would work."""
    return prepare(folder)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder in which a job of two budgets ran, and what the command said."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENFOLD_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        options = [*prepare(folder), "--budget", "macs=0.7", "--no-flip"]
        return folder, CliRunner().invoke(app, ["compress", *options])


def prepare(folder: Path) -> list[str]:
    """Images, a checkpoint, and the options that go with them."""
    write_images(folder / "images")
    write_weights(folder / "w.safetensors")
    options = {
        "arch": "job_samples:tiny",
        "weights": "w.safetensors",
        "data": "images",
        "budget": "params=0.6",
        "scheme": "svd",
        "calibration": "16",
        "recovery-steps": "2",
        "recovery-batch": "16",
        "workers": "1",
        "out": "run",
    }
    return [text for name, value in options.items() for text in (f"--{name}", value)]
