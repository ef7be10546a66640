from __future__ import annotations

import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import tensor_train
from torch import Tensor

from conformance import distance, noise
from tenfold.algebra.tensor_train import contract_train, improve_train, tt_svd

FIXED = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def full_ranks(shape: tuple[int, ...]) -> list[int]:
    """The ranks at which every tensor of a shape is met."""
    sizes = torch.tensor(shape)
    return [int(min(sizes[:n].prod(), sizes[n:].prod())) for n in range(1, len(shape))]


def tails(tensor: Tensor, ranks: list[int]) -> list[float]:
    """Energy of each unfolding beyond its rank."""
    unfoldings = (
        tensor.flatten(0, n).reshape(int(torch.tensor(tensor.shape[: n + 1]).prod()), -1) for n in range(3)
    )
    return [
        float(torch.linalg.svdvals(unfolding)[rank:].square().sum())
        for unfolding, rank in zip(unfoldings, ranks, strict=True)
    ]


@FIXED
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(0, 99))
def test_full_rank_gives_the_tensor_back(sizes, seed):
    tensor = noise(*sizes, seed=seed)
    cores = tt_svd(tensor, full_ranks(tuple(sizes)))
    assert [core.shape[1] for core in cores] == sizes
    assert cores[0].shape[0] == cores[-1].shape[2] == 1
    assert torch.allclose(contract_train(cores), tensor, atol=1e-13)


def test_contract_is_the_product_of_the_cores():
    cores = [noise(1, 4, 2, seed=1), noise(2, 3, 5, seed=2), noise(5, 2, 1, seed=3)]
    expected = torch.einsum("xar,rbs,scy->abc", *cores)
    assert torch.allclose(contract_train(cores), expected, atol=1e-13)
    # Modes of length 1 at the ends stay modes.
    assert contract_train([noise(1, 1, 2), noise(2, 3, 2), noise(2, 1, 1)]).shape == (1, 3, 1)


@FIXED
@given(st.lists(st.integers(1, 6), min_size=3, max_size=3), st.integers(0, 99))
def test_error_is_below_the_summed_tails_and_above_each(wanted, seed):
    tensor = noise(6, 3, 2, 7, seed=seed)
    ranks = [min(w, most) for w, most in zip(wanted, (6, 14, 7), strict=True)]
    ranks[1] = min(ranks[1], ranks[0] * 3, 14)
    ranks[2] = min(ranks[2], ranks[1] * 2)
    cores = tt_svd(tensor, ranks)
    beyond = tails(tensor, ranks)
    error = float((tensor - contract_train(cores)).square().sum())
    assert max(beyond) - 1e-10 <= error <= sum(beyond) + 1e-10
    for core in cores[:-1]:
        flat = core.flatten(0, 1)
        assert torch.allclose(flat.T @ flat, torch.eye(flat.shape[1], dtype=torch.float64), atol=1e-13)


def test_error_equals_tensorlys():
    tensorly.set_backend("numpy")
    tensor = noise(8, 3, 3, 9)
    for ranks in ([2, 4, 3], [6, 9, 7], [8, 24, 9]):
        theirs = torch.from_numpy(tensor_train(tensor.numpy(), [1, *ranks, 1]).to_tensor())
        ours = contract_train(tt_svd(tensor, ranks))
        assert distance(ours, tensor) == pytest.approx(distance(theirs, tensor), rel=1e-9, abs=1e-13)


def test_improvement_is_monotone_and_real():
    tensor, ranks = noise(8, 3, 3, 9), [3, 4, 3]
    start = tt_svd(tensor, ranks)
    errors, captured = [distance(contract_train(start), tensor)], []
    for sweeps in (1, 2, 3, 30):
        train, made = improve_train(tensor, start, max_sweeps=sweeps, tol=0.0)
        assert made <= sweeps
        errors.append(distance(contract_train(train), tensor))
        captured.append(float(train[-1].square().sum()))
        # Orthonormal cores on the left: what the last one holds is what is captured.
        lost = errors[-1] ** 2 * float(tensor.square().sum())
        assert captured[-1] + lost == pytest.approx(float(tensor.square().sum()), rel=1e-12)
    assert errors == sorted(errors, reverse=True)
    assert captured == sorted(captured)
    assert errors[-1] < errors[0] - 1e-3


def test_improvement_stops_by_tolerance():
    tensor = noise(8, 3, 3, 9)
    start = tt_svd(tensor, [3, 4, 3])
    swept = [improve_train(tensor, start, tol=tol)[1] for tol in (1e-2, 1e-5, 1e-8)]
    assert swept == sorted(swept)
    assert swept[0] < swept[2] <= 30


def test_improvement_leaves_its_start_alone_and_can_do_nothing():
    tensor = noise(4, 3, 2, 5)
    start = tt_svd(tensor, [2, 2, 2])
    kept = [core.clone() for core in start]
    train, sweeps = improve_train(tensor, start, max_sweeps=0)
    assert sweeps == 0
    improve_train(tensor, start)
    assert all(torch.equal(a, b) for a, b in zip(start, kept, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(train, kept, strict=True))


def test_planted_train_is_found_from_any_start():
    planted = contract_train(
        [noise(1, 7, 2), noise(2, 3, 3, seed=1), noise(3, 3, 2, seed=2), noise(2, 6, 1, seed=3)]
    )
    assert distance(contract_train(tt_svd(planted, [2, 3, 2])), planted) < 1e-13
    start = tt_svd(noise(7, 3, 3, 6, seed=9), [2, 3, 2])
    found, _ = improve_train(planted, start, max_sweeps=100, tol=0.0)
    assert distance(contract_train(found), planted) < 1e-10
