"""One finished run for all tests of what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from job_samples import SETTINGS, write_images, write_weights
from tenfold.config import CompressSettings
from tenfold.jobs.compress import run
from tenfold.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("sample")
    write_images(folder / "images")
    write_weights(folder / "weights.safetensors")
    data, weights = str(folder / "images"), folder / "weights.safetensors"
    return {**SETTINGS, "data": data, "weights": weights, "cache": folder / "cache"}


@pytest.fixture(scope="session")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="session")
def finished(
    sample: dict[str, object],
    told: list[tuple[str, int, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunDirectory:
    out = tmp_path_factory.mktemp("runs") / "new" / "first"
    settings = CompressSettings.make({**sample, "out": out})
    return run(settings, lambda *what: told.append(what))
