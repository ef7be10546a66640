"""The history of a report, row by row, as the curves and tables that people look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.core.errors import RunError
from tenfold.plots.curves import Curve, Point, Snapshot
from tenfold.reporting.learned import Learned, read_learned

__all__ = ["Cycle", "History", "Judgement", "Rollback", "read_history"]

_JUDGED = ("one shot", "recovered", "recovery undone")


@dataclass(frozen=True)
class Judgement:
    """What the held-out images said after a phase: accuracy in percent, loss in nats."""

    phase: str
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Cycle:
    """The network at the end of a cycle of the learning rate: accuracy in percent, loss in nats."""

    number: int
    step: int
    epoch: float
    accuracy: float
    loss: float
    chosen: bool


@dataclass(frozen=True)
class Rollback:
    """A return to an earlier state: after which step, the rate from then on, and why."""

    step: int
    rate: float
    cause: str


@dataclass(frozen=True)
class History:
    """What happened after the layers were replaced.

    Attributes:
        judgements: in order; none without held-out images.
        recovery: its curve, or None.
        training: its curve, or None.
        cycles: snapshots of the training.
        rollbacks: of the training.
        learned: learning-compression, if there was any.
    """

    judgements: tuple[Judgement, ...]
    recovery: Curve | None
    training: Curve | None
    cycles: tuple[Cycle, ...]
    rollbacks: tuple[Rollback, ...]
    learned: Learned | None = None


def read_history(rows: Iterable[Mapping[str, Any]]) -> History:
    """Sort the rows of a report's history. Rows of a phase that is not known are left out.

    Raises:
        RunError: a row lacks what its phase needs.

    Example:
        >>> rows = [{"phase": "recovery", "step": 1, "loss": 2.0, "rate": 0.1},
        ...         {"phase": "recovered", "held_out_accuracy": 90.0, "held_out_loss": 0.3}]
        >>> history = read_history(rows)
        >>> history.recovery, history.judgements[0].accuracy
        (Curve(points=(Point(step=1, loss=2.0, rate=0.1),), snapshots=(), rollbacks=(), start=None), 90.0)
    """
    try:
        return _sorted(list(rows))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"the history of the report has a row that tenfold did not write ({error!r}): run the job again"
        ) from error


def _sorted(rows: list[Mapping[str, Any]]) -> History:
    """The work of `read_history`."""
    judgements = tuple(
        Judgement(row["phase"], float(row["held_out_accuracy"]), float(row["held_out_loss"]))
        for row in rows
        if row["phase"] in _JUDGED
    )
    cycles = tuple(_cycle(row) for row in rows if row["phase"] == "snapshot")
    rollbacks = tuple(
        Rollback(int(row["step"]), float(row["rate"]), str(row["cause"]))
        for row in rows
        if row["phase"] == "rollback"
    )
    start = judgements[-1].accuracy if judgements else None
    training = _curve(rows, "training", cycles, rollbacks, start)
    return History(judgements, _curve(rows, "recovery"), training, cycles, rollbacks, read_learned(rows))


def _cycle(row: Mapping[str, Any]) -> Cycle:
    """One snapshot."""
    return Cycle(
        number=int(row["cycle"]),
        step=int(row["step"]),
        epoch=float(row["epoch"]),
        accuracy=float(row["held_out_accuracy"]),
        loss=float(row["held_out_loss"]),
        chosen=bool(row["chosen"]),
    )


def _curve(
    rows: list[Mapping[str, Any]],
    phase: str,
    cycles: tuple[Cycle, ...] = (),
    rollbacks: tuple[Rollback, ...] = (),
    start: float | None = None,
) -> Curve | None:
    """The steps of a phase; what was made again after a rollback stands for both attempts."""
    steps = {
        int(row["step"]): Point(int(row["step"]), float(row["loss"]), float(row["rate"]))
        for row in rows
        if row["phase"] == phase
    }
    if not steps:
        return None
    return Curve(
        points=tuple(steps[step] for step in sorted(steps)),
        snapshots=tuple(Snapshot(x.step, x.accuracy, x.chosen) for x in cycles),
        rollbacks=tuple(x.step for x in rollbacks),
        start=start,
    )
