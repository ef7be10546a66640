"""What every test shares: one thread, and assertions that explain themselves in the shared laws."""

from __future__ import annotations

import pytest
import torch

pytest.register_assert_rewrite("conformance")
torch.set_num_threads(1)

# The files that take longest, in that order: begun last, one of them would run when all else is done.
_LONGEST = (
    "test_first_pages.py",
    "test_window_jobs.py",
    "test_frozen.py",
    "test_resume.py",
    "test_examples.py",
    "test_web_browser.py",
    "test_window_package.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest."""
    items.sort(key=lambda item: (*_LONGEST, item.path.name).index(item.path.name))
