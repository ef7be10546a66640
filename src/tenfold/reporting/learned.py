"""The rows that learning-compression leaves in a history, as what people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenfold.plots.constraint import Course, Fit, Pulled
from tenfold.plots.river import River

__all__ = ["FitRow", "Learned", "read_learned"]


@dataclass(frozen=True)
class FitRow:
    """One C step.

    Attributes:
        number: from 0.
        epoch: passes over the training images so far.
        mu: weight of the constraint in the L step before it.
        feasibility: relative distance of the kernels from their chains.
        params: of the network with the chains put in.
        macs: of the same.
        ranks: layer -> part of the rank -> its value, in network order; nothing for a layer that is kept.
        limits: what was allowed to ship, by cost name; empty where the ranks before held.
        weakening: of the EVBMF ranks; None where they were chosen otherwise.
        trials: (where it comes from, its held-out loss) of each plan that was tried.
        dense: held-out (accuracy, loss) of the network as it is trained, or None.
        compressed: held-out (accuracy, loss) with the chains put in, or None.
    """

    number: int
    epoch: float
    mu: float
    feasibility: float
    params: int
    macs: int
    ranks: Mapping[str, Mapping[str, int]]
    limits: Mapping[str, float]
    weakening: float | None
    trials: tuple[tuple[str, float | None], ...]
    dense: tuple[float, float] | None
    compressed: tuple[float, float] | None


@dataclass(frozen=True)
class Learned:
    """All of it.

    Attributes:
        fits: the C steps, at least one.
        course: losses, rates and feasibility.
        epochs: passes over the training images up to the end of the run; None if it did not get there.
    """

    fits: tuple[FitRow, ...]
    course: Course
    epochs: float | None

    @property
    def rivers(self) -> tuple[River, ...]:
        """One a part of the ranks, with the layers that ever had one; none for one C step alone."""
        layers = dict.fromkeys(
            layer for layer in self.fits[0].ranks if any(fit.ranks.get(layer) for fit in self.fits)
        )
        parts = dict.fromkeys(p for fit in self.fits for rank in fit.ranks.values() for p in rank)
        if len(self.fits) < 2:
            return ()
        return tuple(
            River(
                f"rank {part!r}",
                {
                    layer: tuple(float(fit.ranks.get(layer, {}).get(part, 0)) for fit in self.fits)
                    for layer in layers
                },
            )
            for part in parts
        )


def read_learned(rows: Sequence[Mapping[str, Any]]) -> Learned | None:
    """What there is of learning-compression in a history; None where there is nothing.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: a row lacks what its phase needs.
    """
    found = [row for row in rows if row["phase"] == "c step"]
    if not found:
        return None
    fits = tuple(map(_fit, found))
    each = next((row["epoch"] / row["step"] for row in reversed(found) if row["step"]), 0.0)
    # What was made again after a rollback stands for both attempts.
    steps = {int(row["step"]): row for row in rows if row["phase"] == "l step"}
    course = Course(
        tuple(
            Pulled(step * each, float(row["loss"]), float(row["penalty"]), float(row["rate"]))
            for step, row in sorted(steps.items())
        ),
        tuple(
            Fit(x.epoch, x.feasibility, x.dense and x.dense[1], x.compressed and x.compressed[1])
            for x in fits
        ),
        tuple(int(row["step"]) * each for row in rows if row["phase"] == "l step rollback"),
    )
    totals = [float(row["total"]) for row in rows if row["phase"] == "epochs"]
    return Learned(fits, course, totals[-1] if totals else None)


def _fit(row: Mapping[str, Any]) -> FitRow:
    """One C step."""
    return FitRow(
        number=int(row["number"]),
        epoch=float(row["epoch"]),
        mu=float(row["mu"]),
        feasibility=float(row["feasibility"]),
        params=int(row["params"]),
        macs=int(row["macs"]),
        ranks={layer: {part: int(n) for part, n in rank.items()} for layer, rank in row["ranks"].items()},
        limits={cost: float(limit) for cost, limit in row["limits"].items()},
        weakening=None if row["weakening"] is None else float(row["weakening"]),
        trials=tuple((str(trial["origin"]), trial["loss"]) for trial in row["trials"]),
        dense=_judged(row, "dense"),
        compressed=_judged(row, "compressed"),
    )


def _judged(row: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Accuracy and loss."""
    if f"{name}_loss" not in row:
        return None
    return float(row[f"{name}_accuracy"]), float(row[f"{name}_loss"])
