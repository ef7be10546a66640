from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from conformance import distance, noise
from tenfold.algebra.block_term import (
    Blocks,
    block_term,
    deflation_start,
    extend,
    random_start,
    reconstruct,
)
from tenfold.core.outcome import Outcome

WEIGHT = noise(9, 8, 6)
SHAPE = (9, 8, 6)


def least_squares_sweep(weight: Tensor, blocks: Blocks) -> float:
    """Error after solving for out, core and inp in turn, each by a dense least-squares solver."""
    out, core, inp = blocks
    target = weight.permute(1, 2, 0).flatten(0, 1)  # (in * k, out)
    design = torch.einsum("rpqk,irq->ikrp", core, inp).flatten(2).flatten(0, 1)
    out = torch.linalg.lstsq(design, target).solution.T.reshape(out.shape)
    design = torch.einsum("orp,irq->oirpq", out, inp).flatten(2).flatten(0, 1)
    core = torch.linalg.lstsq(design, weight.flatten(0, 1)).solution.reshape(core.shape)
    target = weight.permute(0, 2, 1).flatten(0, 1)  # (out * k, in)
    design = torch.einsum("rpqk,orp->okrq", core, out).flatten(2).flatten(0, 1)
    inp = torch.linalg.lstsq(design, target).solution.T.reshape(inp.shape)
    return distance(reconstruct(Blocks(out, core, inp)), weight)


def orthonormal(side: Tensor) -> bool:
    """Whether the columns within each block of (n, R, p) are."""
    gram = torch.einsum("nrp,nrs->rps", side, side)
    return torch.allclose(gram, torch.eye(side.shape[2], dtype=side.dtype).expand_as(gram), atol=1e-9)


def test_reconstruct_is_the_sum_over_blocks():
    out, core, inp = noise(4, 3, 2), noise(3, 2, 5, 6, seed=1), noise(7, 3, 5, seed=2)
    expected = torch.zeros(4, 7, 6, dtype=torch.float64)
    for r, p, q in product(range(3), range(2), range(5)):
        expected += out[:, None, None, r, p] * core[r, p, q] * inp[None, :, None, r, q]
    assert torch.allclose(reconstruct(Blocks(out, core, inp)), expected, atol=1e-13)


def test_random_start_is_seeded_orthonormal_and_scaled():
    start, again, other = (random_start(SHAPE, (3, 2, 4), seed=seed) for seed in (1, 1, 2))
    assert (start.out.shape, start.core.shape, start.inp.shape) == ((9, 3, 2), (3, 2, 4, 6), (8, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(start, again, strict=True))
    assert not torch.equal(start.out, other.out)
    assert orthonormal(start.out)
    assert orthonormal(start.inp)
    scaled = random_start(SHAPE, (3, 2, 4), seed=1, norm=8.0)
    assert torch.equal(reconstruct(scaled), 8 * reconstruct(start))


def test_deflation_lowers_the_error_block_by_block():
    errors = [distance(reconstruct(deflation_start(WEIGHT, (n, 2, 2))), WEIGHT) for n in range(1, 6)]
    assert all(after < before - 0.02 for before, after in pairwise(errors))
    start = deflation_start(WEIGHT, (3, 2, 1))
    assert (start.out.shape, start.core.shape, start.inp.shape) == ((9, 3, 2), (3, 2, 1, 6), (8, 3, 1))


@pytest.mark.parametrize("rank", [(4, 1, 1), (2, 3, 2), (3, 1, 2)])
def test_a_sweep_is_three_least_squares_solutions(rank):
    start = random_start(SHAPE, rank, seed=3)
    fit = block_term(WEIGHT, start, max_sweeps=1, ridge=0.0)
    # The smallest ridge, 1e-12 of the mean diagonal, is all that separates the two.
    assert fit.error == pytest.approx(least_squares_sweep(WEIGHT, start), rel=1e-8)
    assert orthonormal(fit.blocks.out)
    assert orthonormal(fit.blocks.inp)


def test_error_is_measured_and_never_above_the_start():
    for seed, sweeps in product(range(3), (0, 1, 2, 20)):
        start = random_start(SHAPE, (3, 2, 2), seed=seed, norm=float(WEIGHT.norm()) / 6)
        fit = block_term(WEIGHT, start, max_sweeps=sweeps)
        assert fit.error == pytest.approx(distance(reconstruct(fit.blocks), WEIGHT), abs=1e-13)
        assert fit.error <= distance(reconstruct(start), WEIGHT) + 1e-13
        assert fit.sweeps <= sweeps


def test_smaller_fit_extended_by_zero_blocks_never_gets_worse():
    small = block_term(WEIGHT, random_start(SHAPE, (3, 2, 2), seed=0))
    more = extend(small.blocks, 5, seed=1)
    assert more.core.shape == (5, 2, 2, 6)
    assert distance(reconstruct(more), reconstruct(small.blocks)) < 1e-13
    for sweeps in (0, 1, 50):
        assert block_term(WEIGHT, more, max_sweeps=sweeps).error <= small.error + 1e-13
    assert block_term(WEIGHT, more, max_sweeps=50).error < small.error - 0.05


def test_extend_downwards_keeps_the_strongest_in_their_order():
    blocks = random_start(SHAPE, (4, 2, 2), seed=0)
    strength = torch.tensor([1.0, 1e3, 1e-3, 10.0], dtype=torch.float64)
    blocks = blocks._replace(core=blocks.core * strength[:, None, None, None])
    fewer = extend(blocks, 2, seed=0)
    for kept, all_of_them, mode in zip(fewer, blocks, (1, 0, 1), strict=True):
        assert torch.equal(kept, all_of_them.index_select(mode, torch.tensor([1, 3])))
    assert all(torch.equal(a, b) for a, b in zip(extend(blocks, 4, seed=0), blocks, strict=True))


def test_acceleration_beats_plain_sweeps():
    # A swamp: two nearly parallel components; plain alternation needs several times the sweeps.
    planted = random_start(SHAPE, (4, 1, 1), seed=2)
    out, inp = planted.out.clone(), planted.inp.clone()
    out[:, 1] = 0.9 * out[:, 0] + 0.44 * out[:, 1]
    inp[:, 1] = 0.9 * inp[:, 0] + 0.44 * inp[:, 1]
    kernel = reconstruct(Blocks(out, planted.core, inp))
    start = random_start(SHAPE, (4, 1, 1), seed=5)
    accelerated = block_term(kernel, start, max_sweeps=40, tol=0.0).error
    plain, blocks = 1.0, start
    for _ in range(40):
        step = block_term(kernel, blocks, max_sweeps=1, tol=0.0)
        plain, blocks = step.error, step.blocks
    assert accelerated < 0.5 * plain


def test_nearly_exact_errors_are_measured_not_derived():
    planted = random_start(SHAPE, (3, 2, 2), seed=8)
    exact = block_term(reconstruct(planted), planted, max_sweeps=50)
    assert exact.error < 1e-14
    assert exact.outcome is Outcome.EXACT
    assert exact.sweeps < 20
    near = Blocks(planted.out, planted.core * (1 + 1e-9 * noise(*planted.core.shape)), planted.inp)
    start_error = distance(reconstruct(near), reconstruct(planted))
    assert block_term(reconstruct(planted), near, max_sweeps=50).error <= start_error


def test_outcomes_name_how_it_ended():
    start = random_start(SHAPE, (3, 2, 2), seed=0)
    assert block_term(WEIGHT, start, max_sweeps=0).outcome is Outcome.KEPT_START
    assert block_term(WEIGHT, start, max_sweeps=2).outcome is Outcome.SWEEPS_RAN_OUT
    converged = block_term(WEIGHT, start, max_sweeps=500)
    assert converged.outcome is Outcome.CONVERGED
    assert converged.sweeps < 500
    zero = block_term(torch.zeros_like(WEIGHT), start)
    assert (zero.outcome, zero.error, zero.sweeps) == (Outcome.EXACT, 0.0, 0)
    assert not reconstruct(zero.blocks).any()


def test_cancelling_components_are_named_and_the_ridge_holds_them():
    a, b, _ = torch.eye(3, dtype=torch.float64)
    # Rank three, but as near as one likes to rank two: two components of size n cancel to within 1/n.
    border = sum(torch.einsum("o,i,k->oik", *m) for m in ((a, a, b), (a, b, a), (b, a, a)))
    sides, n = torch.stack([a + b / 50, a], 1), 50.0
    core = torch.stack([n * (a + b / n), -n * a])[:, None, None]
    start = Blocks(sides[:, :, None], core, sides[:, :, None])
    assert distance(reconstruct(start), border) < 2 / n
    free = block_term(border, start, max_sweeps=30, ridge=0.0)
    assert free.outcome is Outcome.DEGENERATE
    assert free.error < 2 / n
    held = block_term(border, random_start((3, 3, 3), (2, 1, 1), seed=0), ridge=0.1)
    assert held.outcome is not Outcome.DEGENERATE
    assert held.error < 0.3
