"""What a decomposition is: integers for a rank, and weights for a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from tenfold.algebra.linalg import check_finite
from tenfold.core.errors import RankError, ShapeError
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec, Rank, Stage

__all__ = ["Fit", "Scheme", "Weights", "check_rank", "check_start", "errors_of_fits", "geometric_ladder"]

Weights = tuple[Tensor, ...]
"""One weight a stage, shaped as `Scheme.layout` says."""


@dataclass(frozen=True)
class Fit:
    """The weights of a chain and how good they are.

    Attributes:
        weights: one a stage, in the dtype of the kernel.
        error: ||W - W_hat|| / ||W||, Frobenius, measured on the residual in float64.
        sweeps: passes an iterative solver made; 0 for a direct one.
        outcome: how it ended.
    """

    weights: Weights
    error: float
    sweeps: int
    outcome: Outcome


class Scheme(Protocol):
    """A decomposition of an ungrouped kernel. All that a new one implements: three names, five functions.

    Attributes:
        name: as it stands in plans, on the command line and in reports.
        rank_names: meaning of each place of a rank.
        separable: whether the spatial kernel is a product of a vertical and a horizontal stage.
    """

    name: ClassVar[str]
    rank_names: ClassVar[tuple[str, ...]]
    separable: ClassVar[bool]

    def clip(self, spec: ConvSpec, rank: Rank) -> Rank:
        """The largest feasible rank that is nowhere above `rank`. Idempotent."""

    def layout(self, spec: ConvSpec, rank: Rank) -> tuple[Stage, ...]:
        """The stages of the chain for a feasible `rank`."""

    def ladder(self, weight: Tensor) -> tuple[Rank, ...]:
        """Feasible ranks worth considering for the kernel `weight` (out, in, kh, kw), in ascending order."""

    def fit(
        self, weight: Tensor, rank: Rank, *, start: Weights | None = None, seed: int = 0, sweeps: int = 200
    ) -> Fit:
        """Weights for `layout` that approximate the kernel `weight` (out, in, kh, kw), in its dtype.

        Never worse than `start`, the weights of a chain of the same rank.
        """

    def errors(self, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int) -> dict[Rank, float]:
        """Errors of fits of one kernel at several feasible ranks, in their order: what they are compared by.

        Cheaper than `fit` for each where one helps the next, and then somewhat lower for the same `sweeps`.
        """


def check_rank(scheme: Scheme, spec: ConvSpec, rank: Rank) -> None:
    """Refuse a rank that `scheme` cannot have on `spec`.

    Raises:
        RankError: wrong number of ranks, a rank below 1, or one above what the kernel allows.
        ShapeError: an empty kernel.
    """
    if 0 in spec.shape:
        raise ShapeError(f"a kernel of shape {spec.shape} is empty; keep the layer")
    named = ", ".join(scheme.rank_names)
    if len(rank) != len(scheme.rank_names):
        raise RankError(f"{scheme.name} rank {rank}: needs {len(scheme.rank_names)} numbers ({named})")
    if min(rank) < 1:
        raise RankError(f"{scheme.name} rank {rank}: every one of ({named}) must be at least 1")
    most = scheme.clip(spec, rank)
    if most != rank:
        raise RankError(
            f"{scheme.name} rank {rank} = ({named}) is above what a kernel of shape {spec.shape} allows; "
            f"use {most}"
        )


def check_start(scheme: Scheme, spec: ConvSpec, rank: Rank, start: Weights | None) -> None:
    """Refuse weights to start from that are not those of a chain of `scheme` and `rank` on `spec`.

    Raises:
        ShapeError: another number of stages, or a stage of another shape.
        NonFiniteError: a weight holds NaN or inf.
    """
    if start is None:
        return
    met, expected = [tuple(w.shape) for w in start], [stage.shape for stage in scheme.layout(spec, rank)]
    if met != expected:
        raise ShapeError(
            f"{scheme.name} rank {rank}: the start has stages {met}; expected {expected}: "
            "give the weights of a fit of this rank, or none"
        )
    for number, weight in enumerate(start):
        check_finite(weight, f"{scheme.name} start, stage {number}")


def errors_of_fits(
    scheme: Scheme, weight: Tensor, ranks: Sequence[Rank], *, sweeps: int
) -> dict[Rank, float]:
    """`Scheme.errors` where no fit helps another."""
    return {rank: scheme.fit(weight, rank, sweeps=sweeps).error for rank in ranks}


def geometric_ladder(most: int, *, steps: int, least: int = 1) -> list[int]:
    """About `steps` different integers from `least` to `most`, in equal ratios.

    Example:
        >>> geometric_ladder(64, steps=4)
        [1, 4, 16, 64]
    """
    if most <= least:
        return [most] if most >= 1 else []
    ratio = (most / least) ** (1 / max(1, steps - 1))
    return sorted({min(most, max(least, round(least * ratio**n))) for n in range(steps)})
