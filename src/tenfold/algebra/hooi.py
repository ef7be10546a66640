"""Tucker-2 by higher-order orthogonal iteration."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tenfold.algebra.linalg import leading

__all__ = ["Tucker2", "tucker2"]


class Tucker2(NamedTuple):
    """A kernel between two channel bases.

    Attributes:
        out: (out, p), orthonormal columns.
        core: (p, q, k).
        inp: (in, q), orthonormal columns.
        sweeps: passes made over both bases.
        converged: whether the last pass changed the captured energy by less than the tolerance.
    """

    out: Tensor
    core: Tensor
    inp: Tensor
    sweeps: int
    converged: bool


def tucker2(
    weight: Tensor,
    rank: tuple[int, int],
    *,
    start: Tensor | None = None,
    max_sweeps: int = 30,
    tol: float = 1e-7,
) -> Tucker2:
    r"""Approximate a kernel by a smaller kernel between two channel bases.

    Minimises ``||W - W_hat||_F`` with

        W_hat[o, i, k] = sum_{p, q} out[o, p] core[p, q, k] inp[i, q]

    by HOOI, started from the truncated HOSVD or from a given input basis.

    Args:
        weight: (out, in, k), float64, k = kh * kw.
        rank: (p, q); ``p <= min(out, q * k)`` and ``q <= min(in, p * k)``.
        start: (in, q), orthonormal columns, to start from instead of the HOSVD.
        max_sweeps: most passes over both bases.
        tol: stop once a pass raises the captured energy by less than this fraction of ``||W||^2``.

    Returns:
        The factors; see `Tucker2` for shapes.

    Notes:
        Kolda & Bader, SIAM Review 51(3), 2009, Fig. 4.4, over the two channel modes only. No pass makes
        the fit worse. The problem is not convex: this is a stationary point, not always the best one.
        A rank equal to the full dimension gives the identity basis, so that a chain can drop that stage.

    Example:
        >>> w = torch.randn(6, 5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> fit = tucker2(w, (6, 5))
        >>> bool((w - torch.einsum("op,pqk,iq->oik", fit.out, fit.core, fit.inp)).norm() < 1e-12)
        True
    """
    n_out, n_in, _ = weight.shape
    p, q = rank
    energy = float(weight.square().sum())
    inp = _basis(weight.transpose(0, 1), q) if start is None else start
    captured, converged, sweep = -1.0, False, 0
    while sweep < max_sweeps and not converged:
        sweep += 1
        out = _basis(torch.einsum("oik,iq->oqk", weight, inp), p)
        half = torch.einsum("oik,op->ipk", weight, out)
        inp = _basis(half, q)
        previous, captured = captured, float(torch.einsum("ipk,iq->pqk", half, inp).square().sum())
        converged = captured - previous <= tol * energy or (p == n_out and q == n_in)
    core = torch.einsum("oik,op,iq->pqk", weight, out, inp)
    return Tucker2(out, core, inp, sweep, converged)


def _basis(tensor: Tensor, rank: int) -> Tensor:
    """Leading subspace of the first mode, (n, rank); the identity where it is the whole space."""
    n = tensor.shape[0]
    if rank == n:
        return torch.eye(n, dtype=tensor.dtype, device=tensor.device)
    return leading(tensor.reshape(n, -1), rank)
