from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch

from conformance import ROUNDING, noise, planted
from tenfold.algebra.hooi import tucker2
from tenfold.algebra.tensor_train import contract_train, tt_svd
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec, Stage, params
from tenfold.schemes.tt import Tt, TtTucker

WEIGHT = noise(9, 8, 3, 2, seed=1)


@pytest.mark.parametrize(("n_out", "n_in", "kernel"), [(4, 3, (2, 3)), (5, 2, (1, 2)), (3, 4, (1, 1))])
def test_clip_is_the_largest_rank_that_the_neighbours_span(n_out, n_in, kernel):
    kh, kw = kernel
    feasible = [
        (a, b, c)
        for a, b, c in product(range(1, n_in + 1), range(1, 9), range(1, n_out + 1))
        if a <= kh * b and b <= kh * a and b <= kw * c and c <= kw * b
    ]
    for asked in product(range(1, n_in + 2), range(1, 9), range(1, n_out + 2)):
        below = [f for f in feasible if all(have <= want for have, want in zip(f, asked, strict=True))]
        largest = tuple(max(f[n] for f in below) for n in range(3))
        assert Tt().clip(ConvSpec(n_out, n_in, kernel), asked) == TtTucker().clip(
            ConvSpec(n_out, n_in, kernel), asked
        )
        assert Tt().clip(ConvSpec(n_out, n_in, kernel), asked) == largest


def test_full_outer_ranks_drop_their_stages():
    spec = ConvSpec(9, 8, (3, 2))
    assert Tt().layout(spec, (8, 5, 9)) == (Stage(5, 8, (3, 1)), Stage(9, 5, (1, 2)))
    assert Tt().layout(spec, (7, 5, 9)) == (Stage(7, 8), Stage(5, 7, (3, 1)), Stage(9, 5, (1, 2)))
    assert Tt().layout(spec, (8, 5, 4)) == (Stage(5, 8, (3, 1)), Stage(4, 5, (1, 2)), Stage(9, 4))


def test_separable_form_is_the_svd_between_the_axes():
    # With both outer ranks full the train is one matrix, (in, kh | kw, out): nothing is better than its SVD.
    values = torch.linalg.svdvals(WEIGHT.permute(1, 2, 3, 0).flatten(2).flatten(0, 1))
    for scheme in (Tt(), TtTucker()):
        tail = float(values[6:].norm() / values.norm())
        assert scheme.fit(WEIGHT, (8, 6, 9)).error == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize("rank", [(3, 5, 4), (1, 1, 1), (8, 3, 4), (2, 4, 8)])
def test_errors_lie_below_the_summed_tails_and_the_starts(rank):
    tensor = WEIGHT.permute(1, 2, 3, 0)
    tails = []
    for n, r in enumerate(rank):
        values = torch.linalg.svdvals(tensor.reshape(int(torch.tensor(tensor.shape[: n + 1]).prod()), -1))
        tails.append(float(values[r:].square().sum() / values.square().sum()))
    norm = float(WEIGHT.norm())
    sequential = float((contract_train(tt_svd(tensor, rank)) - tensor).norm()) / norm
    outer = tucker2(WEIGHT.flatten(2), (rank[2], rank[0]))
    core = outer.core.unflatten(2, (3, 2)).permute(1, 2, 3, 0)
    inner = contract_train(tt_svd(core, rank))
    composite = float((torch.einsum("qhwp,iq,op->ihwo", inner, outer.inp, outer.out) - tensor).norm()) / norm
    for scheme, start in ((Tt(), sequential), (TtTucker(), composite)):
        error = scheme.fit(WEIGHT, rank).error
        assert max(tails) ** 0.5 - ROUNDING <= error <= min(sum(tails) ** 0.5, start) + ROUNDING
        assert scheme.fit(WEIGHT, rank, sweeps=0).error == pytest.approx(start, rel=1e-10)


def test_the_composite_is_solved_jointly():
    # A train of a frozen Tucker core is where it starts, not where it ends.
    for rank in ((3, 5, 4), (5, 6, 5)):
        start, found = (TtTucker().fit(WEIGHT, rank, sweeps=sweeps).error for sweeps in (0, 200))
        assert found < 0.999 * start


def test_pointwise_neighbours_are_one_stage():
    # Tucker outside (I -> q, p -> O) and a whole train inside (q -> r1, ..., r3 -> p) would be six stages.
    for inp, middle, out in product(range(1, 9), range(1, 17), range(1, 10)):
        spec = ConvSpec(9, 8, (3, 2))
        rank = TtTucker().clip(spec, (inp, middle, out))
        stages = TtTucker().layout(spec, rank)
        pointwise = [stage.kernel == (1, 1) for stage in stages]
        assert not any(one and other for one, other in pairwise(pointwise))
        q, t, p = rank
        whole = (Stage(q, 8), Stage(q, q), Stage(t, q, (3, 1)), Stage(p, t, (1, 2)), Stage(p, p), Stage(9, p))
        assert params(stages, bias=False) < params(whole, bias=False)


def test_outcomes():
    assert Tt().fit(WEIGHT, (3, 5, 4), sweeps=1).outcome is Outcome.SWEEPS_RAN_OUT
    assert Tt().fit(WEIGHT, (3, 5, 4)).outcome is Outcome.CONVERGED
    assert 1 < Tt().fit(WEIGHT, (3, 5, 4)).sweeps < 200


def test_ladder_follows_the_energy():
    weight = noise(12, 10, 3, 3)
    kernel = planted(Tt(), weight, (2, 4, 3), seed=5) + 1e-4 * weight
    ladder = Tt().ladder(kernel)
    assert (2, 4, 3) in ladder
    spec = ConvSpec(12, 10, (3, 3))
    assert all(rank == Tt().clip(spec, (10, rank[1], 12)) or max(rank) <= 4 for rank in ladder)
    assert Tt().ladder(noise(12, 10, 1, 1)) == ()
    assert TtTucker().ladder(kernel) == ladder


def test_ladder_of_a_zero_kernel_starts_at_one():
    assert Tt().ladder(torch.zeros(12, 10, 3, 3))[0] == (1, 1, 1)
