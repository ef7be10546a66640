"""What the tests of the zoo share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with cifar10.zip and cifar10-resnet20.safetensors."""
    folder = os.environ.get("TENFOLD_DATA")
    if not folder or not (Path(folder) / "cifar10-resnet20.safetensors").is_file():
        pytest.skip("TENFOLD_DATA names no folder with cifar10.zip and cifar10-resnet20.safetensors")
    return Path(folder)
