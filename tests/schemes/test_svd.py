from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conformance import LAWS, ROUNDING, distance, kernel_of, noise
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec
from tenfold.schemes.svd import Svd, SvdMirrored


def tail(matrix: torch.Tensor, rank: int) -> float:
    """Relative norm of what the best approximation of a rank leaves out."""
    values = torch.linalg.svdvals(matrix)
    return float(values[rank:].norm() / values.norm())


@LAWS
@given(st.integers(1, 8), st.integers(1, 7), st.sampled_from([(3, 3), (1, 1), (2, 1)]), st.integers(1, 8))
def test_error_is_exactly_the_discarded_tail(n_out, n_in, kernel, rank):
    weight = noise(n_out, n_in, *kernel, seed=n_out)
    for scheme, matrix in ((Svd(), weight.flatten(1)), (SvdMirrored(), weight.transpose(0, 1).flatten(1))):
        (r,) = scheme.clip(ConvSpec(n_out, n_in, kernel), (rank,))
        # A full rank leaves rounding where the tail is empty.
        assert scheme.fit(weight, (r,)).error == pytest.approx(tail(matrix, r), rel=1e-10, abs=ROUNDING)


def test_mirrored_is_the_svd_of_the_kernel_with_channels_swapped():
    weight = noise(7, 5, 3, 2)
    plain, mirrored = Svd().fit(weight.transpose(0, 1), (3,)), SvdMirrored().fit(weight, (3,))
    assert mirrored.error == pytest.approx(plain.error, rel=1e-12)
    one = kernel_of(Svd(), weight.transpose(0, 1), (3,), plain.weights).transpose(0, 1)
    assert distance(kernel_of(SvdMirrored(), weight, (3,), mirrored.weights), one) < ROUNDING


def test_nothing_is_left_to_choose():
    weight = noise(7, 5, 3, 2)
    fits = [Svd().fit(weight, (3,), seed=seed, sweeps=sweeps) for seed, sweeps in ((0, 0), (5, 200))]
    assert all(torch.equal(a, b) for a, b in zip(fits[0].weights, fits[1].weights, strict=True))
    assert fits[0].outcome is Outcome.DIRECT
    basis = fits[0].weights[1].flatten(1)
    assert torch.allclose(basis.T @ basis, torch.eye(3, dtype=torch.float64), atol=1e-13)


def test_bounds_are_the_smaller_side():
    assert Svd().clip(ConvSpec(16, 1, (3, 3)), (99,)) == (9,)
    assert Svd().clip(ConvSpec(4, 8, (3, 3)), (99,)) == (4,)
    assert SvdMirrored().clip(ConvSpec(1, 16, (3, 3)), (99,)) == (9,)
    assert SvdMirrored().clip(ConvSpec(8, 4, (3, 3)), (99,)) == (4,)


def test_ladder_ends_where_the_chain_stops_paying():
    weight = noise(24, 16, 3, 3)
    dense, each = 24 * 16 * 9, 16 * 9 + 24
    most = Svd().ladder(weight)[-1][0]
    assert most * each <= dense < (most + 1) * each
    assert SvdMirrored().ladder(noise(24, 16, 1, 1)) == ()
    assert Svd().ladder(noise(24, 16, 1, 1))[-1] == (9,)
