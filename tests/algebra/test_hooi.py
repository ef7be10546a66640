from __future__ import annotations

import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import partial_tucker
from torch import Tensor

from conformance import distance, noise
from tenfold.algebra.hooi import Tucker2, tucker2
from tenfold.algebra.linalg import leading

FIXED = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def rebuilt(fit: Tucker2) -> Tensor:
    """The kernel (out, in, k) of a fit."""
    return torch.einsum("op,pqk,iq->oik", fit.out, fit.core, fit.inp)


def tail(matrix: Tensor, rank: int) -> float:
    """Energy of a matrix beyond its best approximation of a rank."""
    return float(torch.linalg.svdvals(matrix)[rank:].square().sum())


@FIXED
@given(st.integers(1, 8), st.integers(1, 7), st.integers(1, 6), st.integers(1, 8), st.integers(1, 7))
def test_error_is_below_the_summed_tails_and_above_each(n_out, n_in, k, p, q):
    weight = noise(n_out, n_in, k, seed=n_out + 10 * n_in)
    p, q = min(p, n_out), min(q, n_in)
    p = min(p, q * k)
    q = min(q, p * k)
    fit = tucker2(weight, (p, q))
    error = float((weight - rebuilt(fit)).square().sum())
    by_out, by_inp = tail(weight.flatten(1), p), tail(weight.transpose(0, 1).flatten(1), q)
    assert max(by_out, by_inp) - 1e-10 <= error <= by_out + by_inp + 1e-10


def test_factors_are_orthonormal_and_the_core_is_their_projection():
    weight = noise(9, 8, 6)
    fit = tucker2(weight, (4, 3))
    for basis in (fit.out, fit.inp):
        assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), atol=1e-13)
    assert torch.allclose(fit.core, torch.einsum("oik,op,iq->pqk", weight, fit.out, fit.inp), atol=1e-13)


def test_full_rank_is_exact_with_identity_bases_in_one_pass():
    weight = noise(6, 5, 4)
    fit = tucker2(weight, (6, 5))
    assert torch.equal(fit.out, torch.eye(6, dtype=torch.float64))
    assert torch.equal(fit.inp, torch.eye(5, dtype=torch.float64))
    assert torch.equal(fit.core, weight)
    assert (fit.sweeps, fit.converged) == (1, True)


def test_one_full_side_is_the_svd_of_the_other():
    weight = noise(8, 5, 4)
    fit = tucker2(weight, (3, 5))
    error = float((weight - rebuilt(fit)).square().sum())
    assert abs(error - tail(weight.flatten(1), 3)) < 1e-11


def test_passes_never_make_it_worse_and_do_make_it_better():
    weight = noise(12, 11, 4)
    errors = [
        distance(rebuilt(tucker2(weight, (3, 2), max_sweeps=n, tol=0.0)), weight) for n in (1, 2, 4, 50)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] - 1e-4


def test_acceleration_beats_plain_passes():
    weight = noise(40, 36, 9)
    inp = leading(weight.transpose(0, 1).flatten(1), 12)
    for _ in range(30):
        out = leading(torch.einsum("oik,iq->oqk", weight, inp).flatten(1), 14)
        inp = leading(torch.einsum("oik,op->ipk", weight, out).flatten(1), 12)
    captured = float(torch.einsum("oik,op,iq->pqk", weight, out, inp).square().sum())
    # 12 accelerated passes get further than these 30 plain ones: by 9e-4 of the energy here.
    fit = tucker2(weight, (14, 12), max_sweeps=12, tol=0.0)
    assert float(fit.core.square().sum()) > captured * (1 + 1e-4)


def test_a_large_kernel_loses_nothing_by_its_sweeps_in_float32():
    weight = noise(180, 170, 9)
    start = leading(weight.transpose(0, 1).flatten(1), 60)
    single, double = (tucker2(weight, (70, 60), start=s, tol=1e-4) for s in (None, start))
    assert single.sweeps == double.sweeps > 2
    errors = [distance(rebuilt(fit), weight) for fit in (single, double)]
    assert abs(errors[0] / errors[1] - 1) < 1e-6  # what the docstring promises
    for basis in (single.out, single.inp):
        assert torch.allclose(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), atol=1e-13)
    assert torch.allclose(
        single.core, torch.einsum("oik,op,iq->pqk", weight, single.out, single.inp), atol=1e-12
    )


def test_a_large_kernel_of_low_rank_is_met_exactly():
    # In units in which float32 would overflow, and underflow.
    for unit in (1e100, 1e-100):
        weight = torch.einsum("op,pqk,iq->oik", noise(180, 5), noise(5, 4, 9), noise(170, 4)) * unit
        assert distance(rebuilt(tucker2(weight, (5, 4))), weight) < 1e-12


def test_stops_by_tolerance_or_by_count():
    weight = noise(12, 11, 4)
    by_count, by_tol = tucker2(weight, (3, 2), max_sweeps=2, tol=0.0), tucker2(weight, (3, 2), tol=1e-3)
    assert (by_count.sweeps, by_count.converged) == (2, False)
    assert by_tol.converged
    assert by_tol.sweeps < tucker2(weight, (3, 2), tol=1e-9).sweeps


def test_start_is_where_it_begins():
    weight = noise(12, 11, 4)
    best = tucker2(weight, (3, 2), max_sweeps=500, tol=0.0)
    warm = tucker2(weight, (3, 2), start=best.inp, max_sweeps=1)
    assert abs(distance(rebuilt(warm), weight) - distance(rebuilt(best), weight)) < 1e-12


def test_error_equals_tensorlys():
    tensorly.set_backend("numpy")
    weight = noise(14, 12, 6)
    for rank in ((4, 3), (9, 7)):
        (core, factors), _ = partial_tucker(
            weight.numpy(), rank=list(rank), modes=[0, 1], n_iter_max=500, tol=1e-14, init="svd"
        )
        theirs = torch.einsum("pqk,op,iq->oik", *map(torch.from_numpy, (core, *factors)))
        ours = rebuilt(tucker2(weight, rank, max_sweeps=500, tol=1e-14))
        # Both stop at a stationary point; an error ||.|| is flat there, so it agrees better than the factors.
        assert abs(distance(ours, weight) / distance(theirs, weight) - 1) < 1e-6
