"""Truncated SVD of an unfolding: two stages, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tenfold.algebra.linalg import check_finite, leading
from tenfold.core.shapes import ConvSpec, Rank, Stage
from tenfold.schemes.base import Fit, Weights, check_rank, check_start, geometric_ladder
from tenfold.schemes.finish import finish
from tenfold.schemes.spec import kernel_spec

__all__ = ["Svd", "SvdMirrored"]


class Svd:
    """`I -> r` with the whole spatial kernel, then `r -> O` pointwise.

    The best rank-r approximation of the (out | in * k) unfolding (Eckart & Young, 1936). On a 1x1 kernel or a
    linear layer every other scheme is this one.
    """

    name: ClassVar[str] = "svd"
    rank_names: ClassVar[tuple[str, ...]] = ("rank",)
    separable: ClassVar[bool] = False

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """At most the smaller side of the unfolding."""
        n_out, n_in, kh, kw = spec.shape
        return (min(rank[0], n_out, n_in * kh * kw),)

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """A spatial stage, then a pointwise one."""
        return (Stage(rank[0], spec.inp, spec.kernel), Stage(spec.out, rank[0]))

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """Ranks in equal ratios, up to where the chain no longer saves parameters."""
        n_out, n_in, kh, kw = weight.shape
        pays = n_out * n_in * kh * kw // (n_in * kh * kw + n_out)
        return tuple((r,) for r in geometric_ladder(pays, steps=24))

    @torch.no_grad()
    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """The best fit; `start`, `seed` and `sweeps` have nothing to improve."""
        del seed, sweeps
        check_finite(weight)
        spec = kernel_spec(weight)
        check_rank(self, spec, rank)
        check_start(self, spec, rank, start)
        unfolded = weight.double().flatten(1)
        basis = leading(unfolded, rank[0])  # (out, r)
        weights = ((basis.T @ unfolded).reshape(rank[0], *weight.shape[1:]), basis[:, :, None, None])
        return finish(weight, self.layout(spec, rank), weights)

    @torch.no_grad()
    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """All at once, from the singular values; right to 1e-8."""
        del sweeps
        return _discarded(weight.double().flatten(1), ranks)


class SvdMirrored:
    """`I -> r` pointwise, then `r -> O` with the whole spatial kernel.

    The best rank-r approximation of the (in | out * k) unfolding.
    """

    name: ClassVar[str] = "svd-mirrored"
    rank_names: ClassVar[tuple[str, ...]] = ("rank",)
    separable: ClassVar[bool] = False

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """At most the smaller side of the unfolding."""
        n_out, n_in, kh, kw = spec.shape
        return (min(rank[0], n_in, n_out * kh * kw),)

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """A pointwise stage, then a spatial one."""
        return (Stage(rank[0], spec.inp), Stage(spec.out, rank[0], spec.kernel))

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """As for `Svd`, with the channels swapped; none for a 1x1 kernel, where both are the same."""
        _, _, kh, kw = weight.shape
        return Svd().ladder(weight.transpose(0, 1)) if kh * kw > 1 else ()

    @torch.no_grad()
    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """The best fit; `start`, `seed` and `sweeps` have nothing to improve."""
        del seed, sweeps
        check_finite(weight)
        spec = kernel_spec(weight)
        check_rank(self, spec, rank)
        check_start(self, spec, rank, start)
        unfolded = weight.double().transpose(0, 1).flatten(1)  # (in, out * k)
        basis = leading(unfolded, rank[0])
        spatial = (basis.T @ unfolded).reshape(rank[0], weight.shape[0], *weight.shape[2:])
        weights = (basis.T[:, :, None, None], spatial.transpose(0, 1))
        return finish(weight, self.layout(spec, rank), weights)

    @torch.no_grad()
    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """As `Svd`."""
        del sweeps
        return _discarded(weight.double().transpose(0, 1).flatten(1), ranks)


def _discarded(unfolded: Tensor, ranks: Sequence[Rank]) -> dict[Rank, float]:
    """Relative error of the best approximation of a matrix at each rank."""
    short = unfolded if unfolded.shape[0] <= unfolded.shape[1] else unfolded.T
    energies = torch.linalg.eigvalsh(short @ short.T).clamp_min(0)  # ascending
    tails = torch.cat([energies.new_zeros(1), energies.cumsum(0)])
    whole = max(float(tails[-1]), torch.finfo(tails.dtype).tiny)
    return {rank: float(tails[max(len(energies) - rank[0], 0)] / whole) ** 0.5 for rank in ranks}
