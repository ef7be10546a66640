"""Small inputs for the command line, in a folder that is the current one."""

from __future__ import annotations

from pathlib import Path

import pytest

from job_samples import write_images, write_weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inputs(folder: Path) -> list[str]:
    """Options of a job that would work."""
    write_images(folder / "images")
    write_weights(folder / "w.safetensors")
    options = {
        "arch": "job_samples:tiny",
        "weights": "w.safetensors",
        "data": "images",
        "budget": "params=0.6",
        "scheme": "svd",
        "metric": "plain",
        "recovery-steps": "2",
        "recovery-batch": "16",
        "workers": "1",
        "out": "run",
    }
    return [text for name, value in options.items() for text in (f"--{name}", value)]
