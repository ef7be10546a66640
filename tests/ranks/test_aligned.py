from __future__ import annotations

import pytest

from tenfold.core.shapes import ConvSpec
from tenfold.ranks.aligned import aligned_middles, aligned_ranks
from tenfold.schemes.registry import SCHEMES, get_scheme

SPEC = ConvSpec(64, 64, (3, 3))


@pytest.mark.parametrize(
    ("given", "rounded"), [(1, 4), (5, 4), (6, 8), (11, 8), (13, 16), (45, 48), (57, 64)]
)
def test_widths_are_multiples_of_four_eight_or_sixteen(given: int, rounded: int) -> None:
    assert aligned_ranks(get_scheme("svd"), SPEC, [(given,)]) == ((rounded,),)


def test_wide_ones_are_multiples_of_sixteen() -> None:
    assert aligned_ranks(get_scheme("svd"), ConvSpec(256, 256, (3, 3)), [(87,), (88,)]) == ((80,), (96,))


def test_blocks_keep_their_size_and_larger_ones_are_offered() -> None:
    found = aligned_ranks(get_scheme("btd"), SPEC, [(9, 2, 2), (13, 1, 1), (1, 22, 31)])
    assert {(9, 2, 2), (16, 1, 1), (1, 24, 32)} <= set(found)
    larger = set(found) - {(9, 2, 2), (16, 1, 1), (1, 24, 32)}
    assert {rank[1] for rank in larger} == {4, 8, 16, 32}
    for count, out, inp in larger:
        assert out == inp
        assert count * out * (128 + 9 * out) < 64 * 64 * 9
    assert (6, 16, 16) in larger
    assert (3, 32, 32) not in larger  # as large as the layer
    assert (2, 32, 32) in aligned_ranks(get_scheme("btd"), ConvSpec(256, 256, (3, 3)), [])
    assert (3, 32, 32) not in aligned_ranks(
        get_scheme("btd"), ConvSpec(256, 256, (3, 3)), []
    )  # too dear a fit


@pytest.mark.parametrize("name", SCHEMES)
def test_ranks_stay_feasible(name: str) -> None:
    scheme, spec = get_scheme(name), ConvSpec(12, 10, (3, 3))
    for rank in aligned_ranks(scheme, spec, [scheme.clip(spec, (7,) * len(scheme.rank_names))]):
        assert scheme.clip(spec, rank) == rank


def test_middles_add_nothing() -> None:
    assert aligned_middles(get_scheme("btd"), SPEC, [(1, 22, 31)]) == ((1, 24, 32),)
