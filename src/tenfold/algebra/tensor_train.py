"""Tensor trains of any number of modes: TT-SVD, and sweeps that improve on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tenfold.algebra.linalg import leading

__all__ = ["contract_train", "improve_train", "tt_svd"]

Train = list[Tensor]
"""Cores (r[j-1], n[j], r[j]) with r[0] = r[last] = 1."""


def contract_train(cores: Sequence[Tensor]) -> Tensor:
    """The tensor (n1, n2, ...) that a train of cores (r[j-1], n[j], r[j]) stands for."""
    result = cores[0]
    for core in cores[1:]:
        result = torch.tensordot(result, core, dims=1)
    return result.squeeze(0).squeeze(-1)


def tt_svd(tensor: Tensor, ranks: Sequence[int]) -> Train:
    """Approximate a tensor by a train with given ranks, one truncated SVD after another.

    Args:
        tensor: (n1, ..., nd), float64.
        ranks: r1 ... r[d-1]; ``r[j] <= min(r[j-1] * n[j], n[j+1] * ... * n[d])``.

    Returns:
        d cores; all but the last with orthonormal columns.

    Notes:
        Oseledets, SIAM J. Sci. Comput. 33(5), 2011, Alg. 1. The error is at most the root of the sum of
        the squared tails of the d - 1 unfoldings, hence within sqrt(d - 1) of the best.

    Example:
        >>> t = torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4)
        >>> bool((contract_train(tt_svd(t, (2, 4))) - t).abs().max() < 1e-12)
        True
    """
    cores: Train = []
    rest = tensor.reshape(1, -1)
    for size, rank in zip(tensor.shape, ranks, strict=False):
        left = rest.shape[0]
        unfolded = rest.reshape(left * size, -1)
        basis = leading(unfolded, rank)
        cores.append(basis.reshape(left, size, rank))
        rest = basis.T @ unfolded
    return [*cores, rest.reshape(rest.shape[0], tensor.shape[-1], 1)]


def improve_train(
    tensor: Tensor, cores: Sequence[Tensor], *, max_sweeps: int = 30, tol: float = 1e-7
) -> tuple[Train, int]:
    """Lower the error of a train at fixed ranks, two neighbouring cores at a time.

    With every other core orthonormal, the best pair of neighbours is the truncated SVD of the
    projected tensor; sweeping back and forth is alternating least squares over pairs (DMRG).

    Args:
        tensor: (n1, ..., nd), float64.
        cores: a train of its shape, as `tt_svd` gives.
        max_sweeps: most passes back and forth.
        tol: stop once a pass raises the captured energy by less than this fraction of ``||tensor||^2``.

    Returns:
        The train and the passes made. Never worse than the start.

    Notes:
        Holtz, Rohwedder & Schneider, SIAM J. Sci. Comput. 34(2), 2012 (the modified scheme).
    """
    train = list(cores)
    energy = float(tensor.square().sum())
    captured, sweep = -1.0, 0
    while sweep < max_sweeps:
        sweep += 1
        for place in range(len(train) - 2, -1, -1):
            _update_pair(tensor, train, place, weight_left=True)
        for place in range(len(train) - 1):
            _update_pair(tensor, train, place, weight_left=False)
        previous, captured = captured, float(train[-1].square().sum())
        if captured - previous <= tol * energy:
            break
    return train, sweep


def _update_pair(tensor: Tensor, train: Train, place: int, *, weight_left: bool) -> None:
    """Replace cores `place` and `place + 1`; the norm goes to the one the sweep moves to."""
    rank = train[place].shape[2]
    pair = _projected(tensor, train, place)  # (r, n, m, s)
    left, n, m, right = pair.shape
    matrix = pair.reshape(left * n, m * right)
    if weight_left:
        basis = leading(matrix.T, rank)
        train[place + 1] = basis.T.reshape(rank, m, right)
        train[place] = (matrix @ basis).reshape(left, n, rank)
    else:
        basis = leading(matrix, rank)
        train[place] = basis.reshape(left, n, rank)
        train[place + 1] = (basis.T @ matrix).reshape(rank, m, right)


def _projected(tensor: Tensor, train: Train, place: int) -> Tensor:
    """The tensor seen through the orthonormal cores on both sides of `place` and `place + 1`."""
    rest = tensor.unsqueeze(0)
    for core in train[:place]:
        rest = torch.tensordot(core, rest, dims=([0, 1], [0, 1]))
    rest = rest.unsqueeze(-1)
    for core in reversed(train[place + 2 :]):
        rest = torch.tensordot(rest, core, dims=([-2, -1], [1, 2]))
    return rest
