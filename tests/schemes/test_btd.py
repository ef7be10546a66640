from __future__ import annotations

from itertools import product

import pytest
import torch

from conformance import ROUNDING, distance, kernel_of, noise, planted
from golden.make import smooth_kernel
from tenfold.algebra.block_term import (
    Blocks,
    block_term,
    deflation_start,
    extend,
    grown_start,
    random_start,
)
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec
from tenfold.schemes.btd import Btd, Cp, Tucker

WEIGHT = noise(9, 8, 3, 2, seed=1)


def same_bits(one, other) -> bool:
    """Whether two fits hold the same numbers."""
    return one.error == other.error and all(
        torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True)
    )


@pytest.mark.parametrize("rank", [(3, 4), (9, 4), (3, 8), (9, 8)])
def test_one_block_is_tucker(rank):
    assert same_bits(Btd().fit(WEIGHT, (1, *rank)), Tucker().fit(WEIGHT, rank))
    spec = ConvSpec(9, 8, (3, 2))
    assert Btd().layout(spec, (1, *rank)) == Tucker().layout(spec, rank)


@pytest.mark.parametrize("rank", [2, 7])
def test_blocks_of_one_by_one_are_cp(rank):
    assert same_bits(Btd().fit(WEIGHT, (rank, 1, 1), seed=3), Cp().fit(WEIGHT, (rank,), seed=3))
    spec = ConvSpec(9, 8, (3, 2))
    assert Btd().layout(spec, (rank, 1, 1)) == Cp().layout(spec, (rank,))


def test_rank_one_is_the_same_kernel_in_all_three():
    cp, tucker = Cp().fit(WEIGHT, (1,)), Tucker().fit(WEIGHT, (1, 1))
    assert cp.error == pytest.approx(tucker.error, rel=1e-12)
    assert cp.outcome is tucker.outcome is Outcome.CONVERGED
    assert Cp().fit(WEIGHT, (1,), sweeps=1).outcome is Outcome.SWEEPS_RAN_OUT
    assert len(Cp().fit(noise(1, 1, 3, 3), (1,)).weights) == 3


@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize(("n_out", "n_in"), [(4, 3), (9, 1), (2, 9), (5, 5)])
def test_tucker_bounds_are_joint(n_out, n_in, kernel):
    spec, k = ConvSpec(n_out, n_in, kernel), kernel[0] * kernel[1]
    feasible = {
        (p, q) for p, q in product(range(1, n_out + 1), range(1, n_in + 1)) if p <= q * k and q <= p * k
    }
    for asked in product(range(1, n_out + 2), range(1, n_in + 2)):
        clipped = Tucker().clip(spec, asked)
        below = [f for f in feasible if f[0] <= asked[0] and f[1] <= asked[1]]
        assert clipped in feasible
        assert clipped == (max(f[0] for f in below), max(f[1] for f in below))


def test_tucker_error_is_below_the_summed_tails():
    for p, q in ((3, 4), (1, 1), (9, 2), (5, 8)):
        values = [torch.linalg.svdvals(m) for m in (WEIGHT.flatten(1), WEIGHT.transpose(0, 1).flatten(1))]
        tails = [float(v[r:].square().sum() / v.square().sum()) for v, r in zip(values, (p, q), strict=True)]
        error = Tucker().fit(WEIGHT, (p, q)).error
        assert max(tails) ** 0.5 - ROUNDING <= error <= sum(tails) ** 0.5 + ROUNDING


def test_blocks_beyond_a_tiling_are_refused_and_the_tiling_suffices():
    spec = ConvSpec(6, 4, (3, 1))
    assert Btd().clip(spec, (99, 3, 2)) == (4, 3, 2)
    assert Btd().clip(spec, (99, 4, 3)) == (4, 4, 3)
    assert Btd().clip(spec, (99, 6, 4)) == (1, 6, 4)
    assert Cp().clip(spec, (99,)) == (12,)
    weight = noise(6, 4, 3, 1)
    assert Btd().fit(weight, (4, 3, 2)).error < 0.02
    assert min(Cp().fit(weight, (12,), seed=n, sweeps=2000).error for n in range(2)) < 1e-6


def test_a_grown_start_finds_what_random_ones_miss():
    rank = (2, 3, 2)
    kernel = planted(Btd(), noise(12, 12, 3, 3), rank, seed=30)
    flat = kernel.flatten(2)
    at_random = [
        block_term(flat, random_start((12, 12, 9), rank, seed=n, norm=float(flat.norm())), max_sweeps=99)
        for n in range(4)
    ]
    assert max(fit.error for fit in at_random) > 0.1  # two of the four end in a poor minimum
    assert max(Btd().fit(kernel, rank, seed=n, sweeps=99).error for n in range(4)) < 1e-6


def test_fits_from_grown_starts_end_lower():
    kernel, seeds = smooth_kernel().flatten(2), range(6)
    unit = float(kernel.norm())
    starts = [random_start((12, 10, 9), (20, 1, 1), seed=n, norm=unit) for n in seeds]
    grown = [grown_start(kernel, (20, 1, 1), seed=n) for n in seeds]
    errors = [sum(block_term(kernel, s, max_sweeps=25).error for s in some) for some in (grown, starts)]
    assert errors[0] < 0.85 * errors[1]  # 0.060 and 0.081 each, on average


def test_a_ladder_is_grown_into_once_for_each_size_of_blocks(monkeypatch):
    grown = []

    def counting(weight, rank, *, seed):
        grown.append(rank)
        return grown_start(weight, rank, seed=seed)

    monkeypatch.setattr("tenfold.schemes.btd.grown_start", counting)
    ranks = ((1, 3, 2), (2, 1, 1), (5, 1, 1), (2, 2, 2), (3, 2, 2), (4, 2, 2))
    errors = Btd().errors(WEIGHT, ranks, sweeps=3)
    assert grown == [(2, 1, 1), (2, 2, 2)]
    assert errors[4, 2, 2] < errors[3, 2, 2] < errors[2, 2, 2]


def test_second_start_is_tried_only_for_a_lasting_fit_of_a_small_kernel(monkeypatch):
    kernel = smooth_kernel()
    grown = grown_start(kernel.flatten(2), (20, 1, 1), seed=0)
    greedy = deflation_start(kernel.flatten(2), (20, 1, 1))
    by_growing, by_deflation = (block_term(kernel.flatten(2), start).error for start in (grown, greedy))
    assert by_deflation < 0.9 * by_growing
    assert Cp().fit(kernel, (20,), sweeps=200).error == by_deflation
    assert Cp().fit(kernel, (20,), sweeps=99).error > by_growing
    monkeypatch.setattr("tenfold.schemes.btd._LARGE", kernel.numel() - 1)
    assert Cp().fit(kernel, (20,), sweeps=200).error == by_growing


def test_a_larger_fit_starts_from_a_smaller_one():
    small = Btd().fit(WEIGHT, (2, 2, 2))
    inp, core, out = small.weights
    blocks = Blocks(
        out.flatten(1).unflatten(1, (2, 2)),
        core.unflatten(0, (2, 2)).flatten(3),
        (inp.flatten(1).T.unflatten(1, (2, 2))),
    )
    more = extend(blocks, 4, seed=0)
    start = (
        more.inp.flatten(1).T[:, :, None, None],
        more.core.flatten(0, 1).unflatten(2, (3, 2)),
        more.out.flatten(1)[:, :, None, None],
    )
    assert (
        distance(
            kernel_of(Btd(), WEIGHT, (4, 2, 2), start), kernel_of(Btd(), WEIGHT, (2, 2, 2), small.weights)
        )
        < ROUNDING
    )
    large = Btd().fit(WEIGHT, (4, 2, 2), start=start)
    assert large.error < small.error - 0.1


def test_a_converged_fit_is_where_its_own_restart_stays():
    fit = Btd().fit(WEIGHT, (3, 2, 2), sweeps=1000)
    assert fit.outcome is Outcome.CONVERGED
    again = Btd().fit(WEIGHT, (3, 2, 2), start=fit.weights)
    # Three quiet sweeps, each below 1e-5 of the error, ended the first; a restart finds little more.
    assert 0 <= fit.error - again.error < 1e-3 * fit.error


def test_ladder_holds_tucker_cp_and_several_sizes_of_blocks():
    weight = noise(24, 16, 3, 3)
    ladder = Btd().ladder(weight)
    assert {(1, *pair) for pair in Tucker().ladder(weight)} <= set(ladder)
    assert {(count, 1, 1) for (count,) in Cp().ladder(weight)} <= set(ladder)
    assert {rank[1] for rank in ladder if rank[0] > 1} == {1, 2}
    wide = Btd().ladder(noise(128, 128, 3, 3))
    assert {rank[1] for rank in wide if rank[0] > 1} == {1, 2, 4}
    for scheme in (Btd(), Cp(), Tucker()):
        assert scheme.ladder(noise(24, 16, 1, 1)) == ()
