from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.errors import RankError, ShapeError
from tenfold.core.shapes import ConvSpec
from tenfold.schemes.base import check_rank, geometric_ladder
from tenfold.schemes.registry import SCHEMES

SPEC = ConvSpec(16, 8, (3, 3))


@given(st.integers(0, 500), st.integers(1, 30), st.integers(1, 20))
def test_ladder_is_ascending_and_within_its_bounds(most, steps, least):
    ladder = geometric_ladder(most, steps=steps, least=least)
    assert ladder == sorted(set(ladder))
    assert len(ladder) <= max(1, steps)
    assert all(1 <= value <= most for value in ladder)
    assert bool(ladder) == (most >= 1)
    if most > least and steps > 1:
        assert (ladder[0], ladder[-1]) == (least, most)


def test_ladder_has_equal_ratios():
    assert geometric_ladder(1024, steps=6) == [1, 4, 16, 64, 256, 1024]
    assert geometric_ladder(81, steps=3, least=9) == [9, 27, 81]
    assert geometric_ladder(3, steps=2, least=8) == [3]


def test_check_rank_says_what_to_use():
    check_rank(SCHEMES["tucker"], SPEC, (9, 1))
    with pytest.raises(
        RankError, match=r"tucker rank \(16, 1\).*\(out, inp\).*\(16, 8, 3, 3\).*use \(9, 1\)"
    ):
        check_rank(SCHEMES["tucker"], SPEC, (16, 1))
    with pytest.raises(RankError, match=r"btd rank \(2, 2\): needs 3 numbers \(blocks, out, inp\)"):
        check_rank(SCHEMES["btd"], SPEC, (2, 2))
    with pytest.raises(RankError, match=r"svd rank \(0,\)"):
        check_rank(SCHEMES["svd"], SPEC, (0,))
    with pytest.raises(ShapeError, match="is empty"):
        check_rank(SCHEMES["svd"], ConvSpec(4, 0), (1,))
