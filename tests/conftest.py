"""What all tests share: one thread, an order, one table of operators, assertions in shared laws, scripts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytest.register_assert_rewrite("conformance")
torch.set_num_threads(1)

# What `make proofs` begins with: if a long file came last, the other process would have nothing to do.
LONGEST = (
    "test_first_pages.py",
    "test_window_jobs.py",
    "test_resume.py",
    "test_native_program.py",
    "test_frozen.py",
    "test_examples.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests of the longest files first; the others stay in their order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def _one_registry() -> Iterator[None]:
    """Keep the exporter's table of operators: to parse it anew takes nearly half of the time of an export."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one of scripts/ by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    return importlib.import_module
