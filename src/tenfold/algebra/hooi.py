"""Tucker-2 by higher-order orthogonal iteration."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tenfold.algebra.linalg import leading_with_energy

__all__ = ["Tucker2", "tucker2"]

# Kernels of more numbers are fitted in float32 first, and to a looser tolerance: a sweep takes a tenth of a
# second there, and what another one gains is less than what any training moves.
_LARGE = 2**18
_TOL, _TOL_LARGE = 1e-7, 1e-4
# Energies are summed in float32 to about 1e-7 of the whole. From this error on, that tells changes of 1e-4 of
# it apart; a smaller one is left to float64.
_RESOLVED = 0.05
# Changes of the captured energy below this fraction of ||W||^2 are rounding.
_ROUNDING = 1e-15


class Tucker2(NamedTuple):
    """A kernel between two channel bases.

    Attributes:
        out: (out, p), orthonormal columns.
        core: (p, q, k).
        inp: (in, q), orthonormal columns.
        sweeps: passes made over both bases.
        converged: whether the last pass changed the error by less than the tolerance.
    """

    out: Tensor
    core: Tensor
    inp: Tensor
    sweeps: int
    converged: bool


class _State(NamedTuple):
    """Two bases and how they were reached; `error` is ||W - W_hat|| / ||W||, from the captured energy."""

    out: Tensor
    inp: Tensor
    error: float
    sweeps: int
    converged: bool


def tucker2(
    weight: Tensor,
    rank: tuple[int, int],
    *,
    start: Tensor | None = None,
    max_sweeps: int = 30,
    tol: float | None = None,
) -> Tucker2:
    r"""Approximate a kernel by a smaller kernel between two channel bases.

    Minimises ``||W - W_hat||_F`` with

        W_hat[o, i, k] = sum_{p, q} out[o, p] core[p, q, k] inp[i, q]

    by accelerated HOOI, started from the truncated HOSVD or from a given input basis.

    Args:
        weight: (out, in, k), float64, k = kh * kw.
        rank: (p, q); ``p <= min(out, q * k)`` and ``q <= min(in, p * k)``.
        start: (in, q), orthonormal columns, to start from instead of the HOSVD.
        max_sweeps: most passes over both bases.
        tol: stop once a pass lowers the error by less than this fraction of it; by default 1e-7, and 1e-4 for
            kernels of more than 262,144 numbers.

    Returns:
        The factors; see `Tucker2` for shapes.

    Notes:
        Kolda & Bader, SIAM Review 51(3), 2009, Fig. 4.4, over the two channel modes only. After a pass the
        bases are extrapolated along their last change (Nesterov), with a restart whenever that captured less:
        the best bases met are returned. The problem is not convex: this is a stationary point, not always the
        best one. A rank equal to the full dimension gives the identity basis: a chain can drop that stage.
        A large kernel without a `start` is swept in float32. An error eps in a basis costs eps^2 of the
        energy at the optimum; and the bases are orthonormalised, the core projected, in float64. What is
        returned is a valid fit with an exact core, its error within 1e-6 (of itself) of what float64 gives.

    Example:
        >>> w = torch.randn(6, 5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> fit = tucker2(w, (6, 5))
        >>> bool((w - torch.einsum("op,pqk,iq->oik", fit.out, fit.core, fit.inp)).norm() < 1e-12)
        True
    """
    large = weight.numel() > _LARGE
    tol = tol if tol is not None else (_TOL_LARGE if large else _TOL)
    unit = weight / weight.norm().clamp_min(torch.finfo(weight.dtype).tiny)
    if start is None and large:
        found = _iterate(unit.float(), rank, None, max_sweeps, max(tol, _TOL_LARGE))
        found = found._replace(out=_orthonormal(found.out.double()), inp=_orthonormal(found.inp.double()))
        if found.sweeps < max_sweeps and (found.error < _RESOLVED or tol < _TOL_LARGE):
            finer = _iterate(unit, rank, found.inp, max_sweeps - found.sweeps, tol)
            found = finer._replace(sweeps=found.sweeps + finer.sweeps)
    else:
        found = _iterate(unit, rank, start, max_sweeps, tol)
    core = torch.einsum("oik,op,iq->pqk", weight, found.out, found.inp)
    return Tucker2(found.out, core, found.inp, found.sweeps, found.converged)


def _iterate(
    weight: Tensor, rank: tuple[int, int], start: Tensor | None, max_sweeps: int, tol: float
) -> _State:
    """Sweep over a kernel of norm 1, in its dtype."""
    n_out, n_in, k = weight.shape
    p, q = rank
    by_inp = weight.permute(1, 2, 0).reshape(n_in, -1)  # (in, k * out)
    by_out = weight.transpose(1, 2).reshape(n_out, -1)  # (out, k * in)
    inp = _basis(weight.transpose(0, 1).reshape(n_in, -1), q)[0] if start is None else start
    guess, momentum, sweep = inp, 0, 0
    best = _State(inp.new_empty(0), inp, 1.0, 0, False)
    while sweep < max_sweeps and not best.converged:
        sweep += 1
        beta = min(0.9, momentum / (momentum + 3))
        fresh, _ = _basis((guess.T @ by_inp).reshape(q * k, n_out).T, p)
        out = _extrapolated(fresh, best.out, beta)
        inp, captured = _basis((out.T @ by_out).reshape(p * k, n_in).T, q)
        error = max(1 - captured, 0.0) ** 0.5
        if momentum > 0 and error > best.error:
            guess, momentum = best.inp, 0  # the extrapolation overshot: once more from where it started
            continue
        gain = best.error**2 - error**2 if sweep > 1 else 1.0
        converged = gain <= 2 * tol * error**2 + _ROUNDING or (p == n_out and q == n_in)
        guess, momentum = _extrapolated(inp, best.inp, beta), momentum + 1
        best = _State(out, inp, error, sweep, converged)
    return best._replace(sweeps=sweep)


def _basis(unfolded: Tensor, rank: int) -> tuple[Tensor, float]:
    """Leading subspace (n, rank) of an unfolding (n, columns), and its energy; the identity for all."""
    n = len(unfolded)
    if rank == n:
        eye = torch.eye(n, dtype=unfolded.dtype, device=unfolded.device)
        return eye, float(unfolded.square().sum(dtype=torch.float64))
    return leading_with_energy(unfolded, rank)


def _extrapolated(new: Tensor, old: Tensor, beta: float) -> Tensor:
    """Basis (n, rank) of the subspace that lies `beta` times the way from `old` to `new` beyond `new`."""
    if beta == 0 or new.shape[0] == new.shape[1]:
        return new
    aligned = new @ (new.T @ old)  # the old basis, seen in the new subspace: their difference is the change
    return _orthonormal(aligned + beta * (aligned - old))


def _orthonormal(columns: Tensor) -> Tensor:
    """An orthonormal basis of the space that the columns span."""
    basis: Tensor = torch.linalg.qr(columns)[0]
    return basis
