from __future__ import annotations

import pytest
import torch


@pytest.fixture
def fixed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice by timing: the two exact forms of a chain, and the two precisions, round differently."""
    monkeypatch.setattr("tenfold.train.execution.faster_rebuilt", lambda *_args, **_options: [])
    monkeypatch.setattr("tenfold.train.execution._bfloat16_is_faster", lambda *_: False)


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    """A few dozen images of noise, (48, 3, 8, 8), uint8."""
    return torch.randint(256, (48, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
