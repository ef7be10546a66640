"""What the events of a job hold to draw: losses, learning rates and accuracies, phase by phase."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TITLES", "LiveCurve", "curves_of", "thinned"]

TITLES = {
    "l step": "Learning-compression",
    "recovery": "Recovery without labels",
    "training": "Fine-tuning",
}
_JUDGED = {"c step": "l step", "snapshot": "training"}


@dataclass(frozen=True)
class LiveCurve:
    """One phase of training, as far as it has come.

    Attributes:
        phase: as in the history of a report.
        title: for people.
        steps: ascending.
        losses: at each of them.
        rates: learning rates, likewise.
        judged: (step, held-out accuracy in percent) at the ends of cycles.
    """

    phase: str
    title: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    rates: tuple[float, ...]
    judged: tuple[tuple[int, float], ...] = ()


def curves_of(events: Iterable[Mapping[str, Any]]) -> list[LiveCurve]:
    """The curves in the events of a job, in the order in which their phases began.

    Steps that were made again, after a kill or a return to an earlier state, stand for both attempts.

    Example:
        >>> curves_of([{"phase": "recovery", "step": 1, "loss": 2.0, "rate": 0.1}])[0].losses
        (2.0,)
    """
    points: dict[str, dict[int, tuple[float, float]]] = {}
    judged: dict[str, dict[int, float]] = {}
    for event in events:
        phase = event.get("phase")
        if phase in TITLES and "loss" in event:
            points.setdefault(phase, {})[int(event["step"])] = (float(event["loss"]), float(event["rate"]))
        elif phase in _JUDGED:
            _judge(judged.setdefault(_JUDGED[phase], {}), event, points.get(_JUDGED[phase], {}))
    return [_curve(phase, steps, judged.get(phase, {})) for phase, steps in points.items()]


def thinned(curve: LiveCurve, most: int) -> LiveCurve:
    """The curve with at most about `most` points; of each stretch that becomes one its last is kept."""
    every = math.ceil(len(curve.steps) / most)
    if every <= 1:
        return curve
    kept = slice((len(curve.steps) - 1) % every, None, every)
    return LiveCurve(
        curve.phase, curve.title, curve.steps[kept], curve.losses[kept], curve.rates[kept], curve.judged
    )


def _judge(
    judged: dict[int, float], event: Mapping[str, Any], points: Mapping[int, tuple[float, float]]
) -> None:
    """Note an accuracy; a C step stands where the L step before it ended."""
    accuracy = event.get("held_out_accuracy", event.get("compressed_accuracy"))
    step = event.get("step", max(points, default=None))
    if accuracy is not None and step is not None:
        judged[int(step)] = float(accuracy)


def _curve(phase: str, points: Mapping[int, tuple[float, float]], judged: Mapping[int, float]) -> LiveCurve:
    """One phase, sorted; a loss that is no number is left out."""
    steps = tuple(step for step in sorted(points) if math.isfinite(points[step][0]))
    return LiveCurve(
        phase,
        TITLES[phase],
        steps,
        tuple(points[step][0] for step in steps),
        tuple(points[step][1] for step in steps),
        tuple(sorted(judged.items())),
    )
