"""Small data sets on disk, made by each test for itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SplitMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("TENFOLD_CACHE", str(cache))
    return cache


@pytest.fixture
def write_image() -> Callable[..., None]:
    """Writes one image whose every pixel is `value`."""

    def write(path: Path, value: int | tuple[int, int, int], size: tuple[int, int] = (5, 7)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = size if isinstance(value, int) else (*size, 3)
        Image.fromarray(np.broadcast_to(np.uint8(value), shape).copy()).save(path)

    return write


@pytest.fixture
def image_folder(tmp_path: Path, write_image: Callable[..., None]) -> Path:
    """Two classes, RGB 5x7; the red channel is 100 * test + 10 * class + number."""
    root = tmp_path / "images"
    for s, split in enumerate(("train", "test")):
        for c, name in enumerate(("ant", "bee")):
            for number in range(3 - s):
                write_image(root / split / name / f"{number}.png", (100 * s + 10 * c + number, 1, 2))
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with cifar10.zip and cifar10-resnet20.safetensors."""
    folder = os.environ.get("TENFOLD_DATA")
    if not folder or not (Path(folder) / "cifar10.zip").is_file():
        pytest.skip("TENFOLD_DATA names no folder with cifar10.zip and cifar10-resnet20.safetensors")
    return Path(folder)
