from __future__ import annotations

import pytest
import torch

from tenfold.core.errors import RankError, UnknownNameError
from tenfold.schemes.decompose import decompose
from tenfold.schemes.registry import get_scheme


def kernel() -> torch.Tensor:
    return torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_is_the_fit_of_the_scheme() -> None:
    for seed in (0, 1):
        one = decompose(kernel(), "cp", (5,), seed=seed)
        other = get_scheme("cp").fit(kernel(), (5,), seed=seed)
        assert one.error == other.error
        assert all(map(torch.equal, one.weights, other.weights))


def test_goes_on_from_a_start() -> None:
    first = decompose(kernel(), "cp", (5,))
    second = decompose(kernel(), "cp", (5,), start=first.weights)
    assert second.error <= first.error + 1e-7  # the tolerance of the solver
    assert second.sweeps < first.sweeps


def test_bad_names_and_ranks() -> None:
    with pytest.raises(UnknownNameError, match="no scheme 'tuker'"):
        decompose(kernel(), "tuker", (2, 2))
    with pytest.raises(RankError, match="above what a kernel"):
        decompose(kernel(), "svd", (99,))
