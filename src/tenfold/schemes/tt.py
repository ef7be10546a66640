"""Tensor trains: the spatial kernel becomes a vertical and a horizontal stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tenfold.algebra.hooi import tucker2
from tenfold.algebra.linalg import check_finite
from tenfold.algebra.tensor_train import contract_train, improve_train, tt_svd
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec, Rank, Stage
from tenfold.schemes.base import Fit, Weights, check_rank, check_start, errors_of_fits, geometric_ladder
from tenfold.schemes.finish import finish
from tenfold.schemes.spec import kernel_spec

__all__ = ["Tt", "TtTucker"]


class Tt:
    """`I -> r1` pointwise, `r1 -> r2` vertical, `r2 -> r3` horizontal, `r3 -> O` pointwise.

    With r1 = in and r3 = out the pointwise stages are dropped: the spatial-separable form. Fitted by
    TT-SVD of the kernel ordered (in, kh, kw, out), then swept in pairs.
    """

    name: ClassVar[str] = "tt"
    rank_names: ClassVar[tuple[str, ...]] = ("inp", "middle", "out")
    separable: ClassVar[bool] = True

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """Each rank is bounded by what both neighbours span."""
        n_out, n_in, kh, kw = spec.shape
        r1, r2, r3 = min(rank[0], n_in), rank[1], min(rank[2], n_out)
        while True:
            clipped = (min(r1, kh * r2), min(r2, r1 * kh, r3 * kw), min(r3, r2 * kw))
            if clipped == (r1, r2, r3):
                return clipped
            r1, r2, r3 = clipped

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """Four stages, or fewer where an outer rank is full."""
        r1, r2, r3 = rank
        kh, kw = spec.kernel
        first = () if r1 == spec.inp else (Stage(r1, spec.inp),)
        last = () if r3 == spec.out else (Stage(spec.out, r3),)
        return (*first, Stage(r2, r1, (kh, 1)), Stage(r3, r2, (1, kw)), *last)

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """Ranks that keep equal shares of the energy of the three unfoldings, and the separable forms."""
        n_out, n_in, kh, kw = weight.shape
        if kh * kw == 1:
            return ()
        tensor = weight.double().permute(1, 2, 3, 0)
        energies = [_tail_energy(tensor, split) for split in (1, 2, 3)]
        shares = [0.5**n for n in range(1, 13)] + [0.7, 0.35, 0.18, 0.09, 0.045, 0.022, 0.011]
        spec = kernel_spec(weight)
        ranks = {self.clip(spec, tuple(_rank_for(energy, share) for energy in energies)) for share in shares}
        pays = n_out * n_in * kh * kw // (n_in * kh + n_out * kw)
        ranks |= {self.clip(spec, (n_in, r, n_out)) for r in geometric_ladder(pays, steps=10, least=2)}
        return tuple(sorted(ranks))

    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """TT-SVD or `start`, then at most `sweeps` passes over pairs of cores; `seed` changes nothing."""
        del seed
        return _fit(self, weight, rank, start, sweeps)

    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """Of each fit by itself."""
        return errors_of_fits(self, weight, ranks, sweeps=sweeps)


class TtTucker:
    """Tucker-2 outside (`I -> q`, `p -> O`), its core as a train: `q -> t` vertical, `t -> p` horizontal.

    The same chains as `Tt` with (q, t, p) = (r1, r2, r3); what differs is the start (HOOI, then an SVD
    of the core) and that the ranks are asked for as the literature on TT-Tucker does.
    """

    name: ClassVar[str] = "tt-tucker"
    rank_names: ClassVar[tuple[str, ...]] = ("inp", "middle", "out")
    separable: ClassVar[bool] = True

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """As for `Tt`."""
        return Tt().clip(spec, rank)

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """As for `Tt`."""
        return Tt().layout(spec, rank)

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """As for `Tt`."""
        return Tt().ladder(weight)

    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """From `start`, or else from HOOI and the TT-SVD of its core: joint sweeps, never worse than that."""
        del seed
        return _fit(self, weight, rank, start, sweeps)

    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """Of each fit by itself."""
        return errors_of_fits(self, weight, ranks, sweeps=sweeps)


@torch.no_grad()
def _fit(scheme: Tt | TtTucker, weight: Tensor, rank: Rank, start: Weights | None, sweeps: int) -> Fit:
    """Sweep from the start that `scheme` uses."""
    check_finite(weight)
    spec = kernel_spec(weight)
    check_rank(scheme, spec, rank)
    check_start(scheme, spec, rank, start)
    tensor = weight.double().permute(1, 2, 3, 0)  # (in, kh, kw, out)
    if start is not None:
        train = _read_train(start, spec, rank)
    elif isinstance(scheme, Tt):
        train = tt_svd(tensor, rank)
    else:
        train = _tucker_start(weight.double(), rank)
    train, swept = improve_train(tensor, train, max_sweeps=sweeps)
    weights = _write_train(train, spec, rank)
    outcome = Outcome.SWEEPS_RAN_OUT if swept == sweeps else Outcome.CONVERGED
    return finish(weight, scheme.layout(spec, rank), weights, sweeps=swept, outcome=outcome)


def _tucker_start(weight: Tensor, rank: Rank) -> list[Tensor]:
    """HOOI at (p, q), then the best train of its core: the sequential composite."""
    q, t, p = rank
    outer = tucker2(weight.flatten(2), (p, q))
    core = outer.core.unflatten(2, weight.shape[2:]).permute(1, 2, 3, 0)  # (q, kh, kw, p)
    inner = tt_svd(core, (q, t, p))
    first = torch.tensordot(outer.inp[None], inner[0].squeeze(0), dims=1)
    return [first, inner[1], inner[2], torch.tensordot(inner[3].squeeze(2), outer.out.T, dims=1)[:, :, None]]


def _write_train(train: list[Tensor], spec: ConvSpec, rank: Rank) -> Weights:
    """Stage weights of a train; a full outer rank is multiplied into its neighbour."""
    first, rows, columns, last = train
    first, last = first.squeeze(0), last.squeeze(2)  # (in, r1), (r3, out)
    if rank[0] == spec.inp:
        rows = torch.tensordot(first, rows, dims=1)
    if rank[2] == spec.out:
        columns = torch.tensordot(columns, last, dims=1)
    stages = [rows.permute(2, 0, 1)[:, :, :, None], columns.permute(2, 0, 1)[:, :, None, :]]
    if rank[0] < spec.inp:
        stages.insert(0, first.T[:, :, None, None])
    if rank[2] < spec.out:
        stages.append(last.T[:, :, None, None])
    return tuple(stages)


def _read_train(weights: Weights, spec: ConvSpec, rank: Rank) -> list[Tensor]:
    """The train of stage weights that were laid out for `rank`."""
    left = [w.double() for w in weights]
    eye = torch.eye(max(spec.inp, spec.out), dtype=torch.float64, device=left[0].device)
    first = eye[: spec.inp, : spec.inp] if rank[0] == spec.inp else left.pop(0)[:, :, 0, 0].T
    last = eye[: spec.out, : spec.out] if rank[2] == spec.out else left.pop()[:, :, 0, 0].T
    rows, columns = left
    train = [
        first[None],
        rows[:, :, :, 0].permute(1, 2, 0),
        columns[:, :, 0, :].permute(1, 2, 0),
        last[:, :, None],
    ]
    # The sweeps need orthonormal cores: TT-SVD of the train itself, which changes nothing it stands for.
    return tt_svd(contract_train(train), rank)


def _tail_energy(tensor: Tensor, split: int) -> Tensor:
    """Share of the energy beyond each rank of the unfolding after `split` modes, from rank 0 on."""
    matrix = tensor.flatten(0, split - 1).flatten(1) if split > 1 else tensor.flatten(1)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    values = torch.linalg.eigvalsh(gram).clamp_min(0).flip(0)
    kept = torch.cat([values.new_zeros(1), values.cumsum(0)])
    return (kept[-1] - kept) / kept[-1].clamp_min(torch.finfo(values.dtype).tiny)


def _rank_for(tail: Tensor, share: float) -> int:
    """The smallest rank, at least 1, whose tail is at most `share` of the energy."""
    return max(1, int((tail > share).sum()))
