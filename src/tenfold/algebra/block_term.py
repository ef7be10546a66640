r"""Block-term decomposition of a kernel: CP and Tucker-2 are its two ends.

    W_hat[o, i, k] = sum_r sum_{p, q} out[o, r, p] core[r, p, q, k] inp[i, r, q]

With one block this is Tucker-2 (`tenfold.algebra.hooi` solves it better); with p = q = 1 it is CP.
De Lathauwer, SIAM J. Matrix Anal. Appl. 30(3), 2008, Part II (the (L, M, .) case, spatial mode kept whole).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tenfold.algebra.hooi import tucker2
from tenfold.algebra.linalg import solve_spd
from tenfold.core.outcome import Outcome

__all__ = [
    "BlockFit",
    "Blocks",
    "block_term",
    "deflation_start",
    "extend",
    "grown_start",
    "random_start",
    "reconstruct",
]

# Components above this many times the kernel's norm make a fit useless for training: they cancel.
_DEGENERATE = 20.0
# The smallest weight of the ridge: below it the normal equations of a singular block cannot be solved.
_LEAST_RIDGE = 1e-12
# An error that follows from the normal equations is right to about 1e-8; below this it is measured instead.
_MEASURED = 1e-4
# A start is grown through a fifth of the blocks, and half as many more in each of four steps, swept a little.
_STEPS, _SWEEPS_A_STEP = 4, 15


class Blocks(NamedTuple):
    """The factors of R blocks.

    Attributes:
        out: (out, R, p), orthonormal columns within each block.
        core: (R, p, q, k).
        inp: (in, R, q), orthonormal columns within each block.
    """

    out: Tensor
    core: Tensor
    inp: Tensor


class BlockFit(NamedTuple):
    """The best factors met.

    Attributes:
        blocks: the factors.
        error: ||W - W_hat|| / ||W||, measured on the residual.
        sweeps: passes made.
        outcome: why it stopped.
    """

    blocks: Blocks
    error: float
    sweeps: int
    outcome: Outcome


def reconstruct(blocks: Blocks) -> Tensor:
    """The kernel (out, in, k) that the blocks sum to."""
    return _rebuilt(blocks).reshape(len(blocks.inp), -1, len(blocks.out)).permute(2, 0, 1)


def _rebuilt(blocks: Blocks) -> Tensor:
    """The same kernel as (in, k * out), as the sweeps lay it out."""
    out, core, inp = blocks
    half = core.flatten(2).transpose(1, 2) @ out.permute(1, 2, 0)  # (R, q * k, out)
    return inp.flatten(1) @ half.reshape(inp.shape[1] * inp.shape[2], -1)


def random_start(
    shape: tuple[int, int, int], rank: tuple[int, int, int], *, seed: int, norm: float = 1.0
) -> Blocks:
    """Normally distributed, orthonormalised factors for a kernel (out, in, k) and `rank` (R, p, q).

    The cores are drawn in units of `norm`: that of the kernel, where a fit is not to depend on its scale.
    """
    n_out, n_in, k = shape
    blocks, p, q = rank
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, dtype=torch.float64, generator=generator)

    start = Blocks(draw(n_out, blocks, p), draw(blocks, p, q, k) * norm, draw(n_in, blocks, q))
    return _orthonormal(start)


def grown_start(weight: Tensor, rank: tuple[int, int, int], *, seed: int) -> Blocks:
    """Fit a fifth of the blocks from a random start, then more and more, adding new ones to what was found.

    On kernels of trained networks a fit that starts here ends lower than one that starts at random.
    """
    blocks, p, q = rank
    fewer = {max(1, round(blocks * (2 / 3) ** step)) for step in range(1, _STEPS + 1)}
    counts = [*sorted(fewer - {blocks}), blocks]
    n_out, n_in, k = weight.shape
    start = random_start((n_out, n_in, k), (counts[0], p, q), seed=seed, norm=float(weight.norm()))
    for count in counts[1:]:
        start = extend(block_term(weight, start, max_sweeps=_SWEEPS_A_STEP).blocks, count, seed=seed)
    return start


def deflation_start(weight: Tensor, rank: tuple[int, int, int]) -> Blocks:
    """Fit one Tucker-2 block after another, each to what the ones before left over.

    Deterministic, and within each block optimal, but greedy: meant as a start.
    """
    blocks, p, q = rank
    rest, parts = weight, []
    for _ in range(blocks):
        fit = tucker2(rest, (p, q), max_sweeps=5)
        parts.append((fit.out, fit.core, fit.inp))
        rest = rest - torch.einsum("op,pqk,iq->oik", fit.out, fit.core, fit.inp)
    out, core, inp = (torch.stack(factors) for factors in zip(*parts, strict=True))
    return Blocks(out.transpose(0, 1), core, inp.transpose(0, 1))


def extend(blocks: Blocks, count: int, *, seed: int) -> Blocks:
    """Bring the factors to `count` blocks: weakest dropped, or random ones of zero weight added."""
    have = blocks.core.shape[0]
    if count <= have:
        strongest = blocks.core.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:count]
        keep = strongest.sort().values
        return Blocks(blocks.out[:, keep], blocks.core[keep], blocks.inp[:, keep])
    shape = (blocks.out.shape[0], blocks.inp.shape[0], blocks.core.shape[3])
    new = random_start(shape, (count - have, *blocks.core.shape[1:3]), seed=seed)
    return Blocks(
        torch.cat([blocks.out, new.out], 1),
        torch.cat([blocks.core, torch.zeros_like(new.core)], 0),
        torch.cat([blocks.inp, new.inp], 1),
    )


def block_term(
    weight: Tensor, start: Blocks, *, max_sweeps: int = 200, tol: float = 1e-5, ridge: float = 0.01
) -> BlockFit:
    r"""Lower ``||W - W_hat||_F`` by accelerated alternating least squares.

    A sweep solves exactly for all `out` factors, then all cores, then all `inp` factors, each under a
    penalty ``ridge * error^2`` (in units of the mean diagonal of the normal equations) on the squared
    factors. The penalty is that of a normal prior whose strength follows the noise that is still unexplained:
    it keeps components from growing without bound while they cancel, and vanishes as the fit becomes exact.
    Between sweeps the factors are extrapolated along their last change (Nesterov), with a restart
    whenever the error rises.

    Args:
        weight: (out, in, k), float64.
        start: factors to start from, float64.
        max_sweeps: most sweeps.
        tol: stop once three sweeps in a row each lower the error by less than this fraction of it.
        ridge: strength of the penalty, unitless, at least 0.

    Returns:
        The best factors met, the start included; see `BlockFit`.

    Notes:
        Acceleration: Mitchell, Ye & De Sterck, Numer. Linear Algebra Appl., 2020 (restarted on error).
        Not convex: a stationary point. A sweep costs two contractions of the kernel with R*max(p, q) vectors
        and one Cholesky factorisation of order R*p*q; no Khatri-Rao product is formed.

    Example:
        >>> planted = reconstruct(random_start((8, 7, 9), (3, 1, 1), seed=1))
        >>> block_term(planted, random_start((8, 7, 9), (3, 1, 1), seed=0)).error < 1e-6
        True
    """
    norm = float(weight.norm())
    if norm == 0:
        zero = Blocks(start.out, torch.zeros_like(start.core), start.inp)
        return BlockFit(zero, 0.0, 0, Outcome.EXACT)
    solver = _Sweep(weight / norm)
    start = _orthonormal(Blocks(start.out, start.core / norm, start.inp))
    best, sweeps, converged = _iterate(solver, start, max_sweeps, tol, ridge)
    blocks = Blocks(best.out, best.core * norm, best.inp)
    error = float((weight - reconstruct(blocks)).norm()) / norm
    return BlockFit(blocks, error, sweeps, _outcome(blocks, norm, error, best is start, converged))


def _iterate(
    solver: _Sweep, start: Blocks, max_sweeps: int, tol: float, ridge: float
) -> tuple[Blocks, int, bool]:
    """The accelerated loop: the best factors, the sweeps made, whether it converged."""
    current, error = start, solver.error(start)
    best, best_error = start, error
    guess, momentum, quiet, sweep = solver.alive(start), 0, 0, 0
    while sweep < max_sweeps and quiet < 3:
        sweep += 1
        new, new_error = solver.sweep(guess, max(ridge * error * error, _LEAST_RIDGE))
        if new_error > error and momentum > 0:
            guess, momentum = current, 0  # the extrapolation overshot: once more from where it started
            continue
        quiet = quiet + 1 if error - new_error < tol * error else 0
        momentum += 1
        beta = min(0.9, momentum / (momentum + 3))
        guess = Blocks(*(a + beta * (a - b) for a, b in zip(new, current, strict=True)))
        current, error = new, new_error
        if error < best_error:
            best, best_error = current, error
    return best, sweep, quiet >= 3


def _outcome(blocks: Blocks, norm: float, error: float, kept_start: bool, converged: bool) -> Outcome:
    """Name how the fit ended."""
    if error < 1e-12:
        return Outcome.EXACT
    if float(blocks.core.norm()) > _DEGENERATE * norm:
        return Outcome.DEGENERATE
    if kept_start:
        return Outcome.KEPT_START
    return Outcome.CONVERGED if converged else Outcome.SWEEPS_RAN_OUT


class _Sweep:
    """One kernel of norm 1, laid out for the contractions a sweep needs."""

    def __init__(self, weight: Tensor) -> None:
        """Take a kernel (out, in, k)."""
        n_out, n_in, k = weight.shape
        self.k = k
        self.by_inp = weight.permute(1, 2, 0).reshape(n_in, k * n_out)
        self.by_out = weight.transpose(1, 2).reshape(n_out, k * n_in)

    def error(self, blocks: Blocks) -> float:
        """Norm of the residual."""
        return float((self.by_inp - _rebuilt(blocks)).norm())

    def alive(self, blocks: Blocks) -> Blocks:
        """`blocks`; if some have no core, all get their best: a block of zero would stay zero for ever."""
        if blocks.core.flatten(1).any(1).all():
            return blocks
        seen = _project(self.by_inp, blocks.inp, self.k)
        core = _solve_core(seen, blocks.out, _overlap(blocks.out), _overlap(blocks.inp), _LEAST_RIDGE)
        return blocks._replace(core=core)

    def sweep(self, blocks: Blocks, ridge: float) -> tuple[Blocks, float]:
        """Solve for out, core and inp in turn; the new factors and their error."""
        _, core, inp = blocks
        seen, by_inp = _project(self.by_inp, inp, self.k), _overlap(inp)  # (R, q * k, out)
        out = _Side.facing(seen, core, by_inp, ridge).factors()
        out, _ = _orthonormal_side(out)
        by_out = _overlap(out)
        core = _solve_core(seen, out, by_out, by_inp, ridge)
        side = _Side.facing(_project(self.by_out, out, self.k), core.transpose(1, 2), by_out, ridge)
        error = side.error()
        inp, triangle = _orthonormal_side(side.factors())
        core = torch.einsum("rpqk,rqs->rpsk", core, triangle)
        new = Blocks(out, core, inp)
        return new, error if error > _MEASURED else self.error(new)


def _project(weight: Tensor, side: Tensor, k: int) -> Tensor:
    """Contract a kernel (m, k * n) with the factors (m, R, q) of its first mode: (R, q * k, n).

    One product of matrices, whose result needs no rearranging for any of the solves.
    """
    return (side.flatten(1).T @ weight).reshape(side.shape[1], side.shape[2] * k, -1)


def _overlap(side: Tensor) -> Tensor:
    """Inner products (R, q, R, q) of the columns of a side (n, R, q)."""
    flat = side.flatten(1)
    return (flat.T @ flat).reshape(*side.shape[1:], *side.shape[1:])


class _Side(NamedTuple):
    """The least-squares solution for all factors of one side, and what it was solved from."""

    gram: Tensor  # (Rp, Rp)
    rhs: Tensor  # (Rp, n)
    solution: Tensor  # (Rp, n)
    blocks: tuple[int, int]  # R and p

    @classmethod
    def facing(cls, seen: Tensor, core: Tensor, overlap: Tensor, ridge: float) -> _Side:
        """Solve for the side that `seen` (R, q * k, n) and `core` (R, p, q, k) face.

        `overlap` (R, q, R, q) is that of the other side.
        """
        r, p, q, k = core.shape
        flat = core.reshape(r * p * q, k)
        pairs = (flat @ flat.T).reshape(r, p, q, r, p, q)
        gram = torch.einsum("rpqsmt,rqst->rpsm", pairs, overlap).reshape(r * p, r * p)
        rhs = (core.flatten(2) @ seen).reshape(r * p, -1)
        return cls(gram, rhs, solve_spd(gram, rhs, ridge=ridge), (r, p))

    def factors(self) -> Tensor:
        """(n, R, p)."""
        return self.solution.T.reshape(-1, *self.blocks)

    def error(self) -> float:
        """Norm of the residual for a kernel of norm 1, from what the solve knows already."""
        squared = 1.0 + float((self.solution * (self.gram @ self.solution - 2 * self.rhs)).sum())
        return math.sqrt(max(squared, 0.0))


def _solve_core(seen: Tensor, out: Tensor, by_out: Tensor, by_inp: Tensor, ridge: float) -> Tensor:
    """All cores (R, p, q, k); `by_out` and `by_inp` are the overlaps of both sides."""
    (r, p), q = out.shape[1:], by_inp.shape[1]
    gram = torch.einsum("rpsm,rqst->rpqsmt", by_out, by_inp).reshape(r * p * q, -1)
    rhs = out.permute(1, 2, 0) @ seen.transpose(1, 2)  # (R, p, q * k)
    return solve_spd(gram, rhs.reshape(r * p * q, -1), ridge=ridge).reshape(r, p, q, -1)


def _orthonormal_side(side: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal columns in each block of (n, R, p), and triangles (R, p, p): side = new @ triangle^T.

    By Cholesky, whose positive diagonal keeps the basis next to the old one: extrapolation needs that.
    """
    if side.shape[2] == 1:  # one column a block: LAPACK, called for each, would take longer than the rest
        norm = side.square().sum(0).clamp_min(1e-30).sqrt()  # (R, 1)
        return side / norm, norm[:, :, None]
    gram = torch.einsum("nrp,nrs->rps", side, side)
    scale = gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    eye = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    # A dead block has no direction of its own: it keeps whatever it has, at a scale near 0.
    triangle, _ = torch.linalg.cholesky_ex(gram + (1e-13 * scale + 1e-30) * eye)
    blocks = torch.linalg.solve_triangular(triangle, side.permute(1, 2, 0), upper=False)
    return blocks.permute(2, 0, 1), triangle


def _orthonormal(blocks: Blocks) -> Blocks:
    """The same kernel with orthonormal bases in every block."""
    out, left = _orthonormal_side(blocks.out)
    inp, right = _orthonormal_side(blocks.inp)
    core = torch.einsum("rmp,rmnk,rnq->rpqk", left, blocks.core, right)
    return Blocks(out, core, inp)
