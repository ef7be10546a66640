from __future__ import annotations

from pathlib import Path

import pytest

from mutants import MUTANTS, Mutant, copy_tree, survives


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source and the tests."""
    return copy_tree(tmp_path_factory.mktemp("mutants") / "tree")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant: Mutant, tree: Path):
    assert not survives(mutant, tree)
