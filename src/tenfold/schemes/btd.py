"""Block terms, with CP and Tucker-2 as their two ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tenfold.algebra.block_term import (
    BlockFit,
    Blocks,
    block_term,
    deflation_start,
    extend,
    grown_start,
)
from tenfold.algebra.hooi import tucker2
from tenfold.algebra.linalg import check_finite
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec, Rank, Stage
from tenfold.schemes.base import Fit, Weights, check_rank, check_start, errors_of_fits, geometric_ladder
from tenfold.schemes.finish import finish
from tenfold.schemes.spec import kernel_spec

__all__ = ["Btd", "Cp", "Tucker"]

_BLOCK_SIZES = (2, 4, 8, 16)
# Blocks above this many channels are tried only where the layer has 32 of them side by side: on
# those of ResNet-20 they won no allocation seen and took most of the time of the table.
_SMALL_BLOCK = 2
# The core solve factorises a matrix of order R*p*q; above this a candidate costs more than it is worth.
_MOST_CORE_UNKNOWNS = 1536
# Kernels of more numbers are not given a second start: block by block it takes minutes.
_LARGE = 2**18


class Tucker:
    """`I -> q` pointwise, `q -> p` spatial, `p -> O` pointwise; a full rank drops its pointwise stage."""

    name: ClassVar[str] = "tucker"
    rank_names: ClassVar[tuple[str, ...]] = ("out", "inp")
    separable: ClassVar[bool] = False

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """Joint bounds: p <= min(out, q * k) and q <= min(in, p * k)."""
        n_out, n_in, kh, kw = spec.shape
        p, q = min(rank[0], n_out), min(rank[1], n_in)
        p = min(p, q * kh * kw)
        return (p, min(q, p * kh * kw))

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """Three stages, or fewer where a basis is the whole space."""
        p, q = rank
        first = () if q == spec.inp else (Stage(q, spec.inp),)
        last = () if p == spec.out else (Stage(spec.out, p),)
        return (*first, Stage(p, q, spec.kernel), *last)

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """Pairs in equal ratios of both channel numbers, with either side up to twice the other's share."""
        n_out, n_in, kh, kw = weight.shape
        if kh * kw == 1:
            return ()
        shares = [s / 64 for s in geometric_ladder(64, steps=14, least=2)]
        tilts = ((1.0, 1.0), (1.0, 0.7), (0.7, 1.0))
        spec = kernel_spec(weight)
        pairs = {
            self.clip(spec, (max(1, round(share * a * n_out)), max(1, round(share * b * n_in))))
            for share in shares
            for a, b in tilts
        }
        return tuple(sorted(pairs))

    @torch.no_grad()
    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """HOOI from the HOSVD, or from the input basis of `start`; deterministic without `seed`."""
        del seed
        check_finite(weight)
        spec = kernel_spec(weight)
        check_rank(self, spec, rank)
        check_start(self, spec, rank, start)
        basis = None if start is None or rank[1] == spec.inp else _read_basis(start)
        kernel = weight.double().flatten(2)
        found = tucker2(kernel, (rank[0], rank[1]), start=basis, max_sweeps=max(1, sweeps))
        core = found.core.unflatten(2, weight.shape[2:])
        first = () if rank[1] == spec.inp else (found.inp.T[:, :, None, None],)
        last = () if rank[0] == spec.out else (found.out[:, :, None, None],)
        return finish(
            weight,
            self.layout(spec, rank),
            (*first, core, *last),
            sweeps=found.sweeps,
            outcome=_outcome(found.converged),
        )

    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """Of each fit by itself."""
        return errors_of_fits(self, weight, ranks, sweeps=sweeps)


class Btd:
    """`I -> R*q` pointwise, `R*q -> R*p` spatial in R groups, `R*p -> O` pointwise.

    One block is `Tucker`, blocks of 1x1 are `Cp`: both are fitted by the same code as here.
    """

    name: ClassVar[str] = "btd"
    rank_names: ClassVar[tuple[str, ...]] = ("blocks", "out", "inp")
    separable: ClassVar[bool] = False

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """As `Tucker` in p and q; R at most what tiles the kernel, where the fit is exact already."""
        n_out, n_in, kh, kw = spec.shape
        p, q = Tucker().clip(spec, (rank[1], rank[2]))
        tiles = -(-n_out // p) * -(-n_in // q)
        return (min(rank[0], tiles, min(n_out, n_in) * kh * kw), p, q)

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """Pointwise, grouped, pointwise."""
        blocks, p, q = rank
        if blocks == 1:
            return Tucker().layout(spec, (p, q))
        return (
            Stage(blocks * q, spec.inp),
            Stage(blocks * p, blocks * q, spec.kernel, groups=blocks),
            Stage(spec.out, blocks * p),
        )

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """Square blocks of a few sizes in growing numbers, and all that `Tucker` and `Cp` consider."""
        n_out, n_in, kh, kw = weight.shape
        if kh * kw == 1:
            return ()
        spec, ranks = kernel_spec(weight), {(1, *pair) for pair in Tucker().ladder(weight)}
        ranks |= {(count, 1, 1) for (count,) in Cp().ladder(weight)}
        for size in _BLOCK_SIZES:
            if size > min(n_out, n_in) // (2 if size <= _SMALL_BLOCK else 32):
                break
            pays = n_out * n_in * kh * kw // (size * (n_out + n_in + kh * kw * size))
            most = min(pays, _MOST_CORE_UNKNOWNS // (size * size))
            counts = geometric_ladder(most, steps=10 if size == 2 else 7, least=max(2, 8 // size))
            ranks |= {self.clip(spec, (count, size, size)) for count in counts if count > 1}
        return tuple(sorted(ranks))

    @torch.no_grad()
    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """Accelerated ALS, from `start` or one grown from `seed`; the better of it and block-wise HOOI.

        The second start is tried only where `sweeps` is at least 100, that is, when a fit is meant to last,
        and on kernels of at most 262,144 numbers.
        """
        check_finite(weight)
        spec = kernel_spec(weight)
        check_rank(self, spec, rank)
        check_start(self, spec, rank, start)
        blocks, p, q = rank
        if blocks == 1:
            return Tucker().fit(weight, (p, q), start=start, seed=seed, sweeps=sweeps)
        kernel = weight.double().flatten(2)
        if start is not None:
            starts = [_read_blocks(start, (blocks, p, q))]
        else:
            starts = [grown_start(kernel, (blocks, p, q), seed=seed)]
            if sweeps >= 100 and kernel.numel() <= _LARGE:
                starts.append(deflation_start(kernel, (blocks, p, q)))
        best = min((block_term(kernel, s, max_sweeps=sweeps) for s in starts), key=lambda fit: fit.error)
        return _write_blocks(weight, best)

    @torch.no_grad()
    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """Blocks of one size in growing numbers, each fit started from the one before."""
        single = {rank for rank in ranks if rank[0] == 1}
        found = errors_of_fits(self, weight, sorted(single), sweeps=sweeps)
        for p, q in sorted({rank[1:] for rank in ranks}):
            counts = sorted(rank[0] for rank in ranks if rank[1:] == (p, q) and rank not in single)
            found |= _errors_growing(weight.double().flatten(2), (p, q), counts, sweeps)
        return {rank: found[rank] for rank in ranks}


class Cp:
    """`I -> r` pointwise, `r -> r` depthwise, `r -> O` pointwise: block terms of 1x1."""

    name: ClassVar[str] = "cp"
    rank_names: ClassVar[tuple[str, ...]] = ("rank",)
    separable: ClassVar[bool] = False

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """At most the rank at which every kernel of this shape is exact."""
        return Btd().clip(spec, (rank[0], 1, 1))[:1]

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """Pointwise, depthwise, pointwise; also at rank 1."""
        (r,) = rank
        return (Stage(r, spec.inp), Stage(r, r, spec.kernel, groups=r), Stage(spec.out, r))

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """Ranks in equal ratios, up to where the chain no longer saves parameters."""
        n_out, n_in, kh, kw = weight.shape
        if kh * kw == 1:
            return ()
        pays = n_out * n_in * kh * kw // (n_out + n_in + kh * kw)
        return tuple((r,) for r in geometric_ladder(min(pays, _MOST_CORE_UNKNOWNS), steps=24))

    @torch.no_grad()
    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """As `Btd` with blocks of 1x1."""
        check_finite(weight)
        spec = kernel_spec(weight)
        check_rank(self, spec, rank)
        check_start(self, spec, rank, start)
        if rank[0] > 1:
            return Btd().fit(weight, (rank[0], 1, 1), start=start, seed=seed, sweeps=sweeps)
        basis = None if start is None else _read_basis(start)
        found = tucker2(weight.double().flatten(2), (1, 1), start=basis, max_sweeps=max(1, sweeps))
        core = found.core.unflatten(2, weight.shape[2:])
        weights = (found.inp.T[:, :, None, None], core, found.out[:, :, None, None])
        outcome = _outcome(found.converged)
        return finish(weight, self.layout(spec, rank), weights, sweeps=found.sweeps, outcome=outcome)

    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """As `Btd`."""
        found = Btd().errors(weight, [(r, 1, 1) for (r,) in ranks], sweeps=sweeps)
        return {rank[:1]: error for rank, error in found.items()}


def _errors_growing(
    kernel: Tensor, size: tuple[int, int], counts: Sequence[int], sweeps: int
) -> dict[Rank, float]:
    """Errors of more and more blocks of one size, in ascending order of `counts`."""
    errors: dict[Rank, float] = {}
    start: Blocks | None = None
    for count in counts:
        rank = (count, *size)
        start = grown_start(kernel, rank, seed=0) if start is None else extend(start, count, seed=count)
        found = block_term(kernel, start, max_sweeps=sweeps)
        start, errors[rank] = found.blocks, found.error
    return errors


def _outcome(converged: bool) -> Outcome:
    """How HOOI ended."""
    return Outcome.CONVERGED if converged else Outcome.SWEEPS_RAN_OUT


def _read_basis(weights: Weights) -> Tensor:
    """Orthonormal columns (in, q) that span the rows of a pointwise first stage."""
    basis: Tensor = torch.linalg.qr(weights[0].double()[:, :, 0, 0].T)[0]
    return basis


def _read_blocks(weights: Weights, rank: tuple[int, int, int]) -> Blocks:
    """Factors of a chain that was laid out for `rank`."""
    blocks, p, q = rank
    first, core, last = (w.double() for w in weights)
    return Blocks(
        last[:, :, 0, 0].unflatten(1, (blocks, p)),
        core.unflatten(0, (blocks, p)).flatten(3),
        first[:, :, 0, 0].T.unflatten(1, (blocks, q)),
    )


def _write_blocks(weight: Tensor, found: BlockFit) -> Fit:
    """The chain of some blocks, in the dtype and device of `weight`."""
    out, core, inp = found.blocks
    weights = (
        inp.flatten(1).T[:, :, None, None],
        core.flatten(0, 1).unflatten(2, weight.shape[2:]),
        out.flatten(1)[:, :, None, None],
    )
    return Fit(tuple(w.to(weight).contiguous() for w in weights), found.error, found.sweeps, found.outcome)
