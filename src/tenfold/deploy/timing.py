"""Wall times of several calls, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["WARM_UP", "Spread", "spread_of", "times_ms"]

WARM_UP = 5
"""Rounds that are not counted."""


@dataclass(frozen=True)
class Spread:
    """Times of one call.

    Attributes:
        median_ms: milliseconds.
        quartiles: the first and third quartile, milliseconds.
        repetitions: number of timed calls.
    """

    median_ms: float
    quartiles: tuple[float, float]
    repetitions: int


def times_ms(
    calls: Sequence[Callable[[], object]], *, repetitions: int, warm_up: int = WARM_UP
) -> NDArray[np.float64]:
    """Milliseconds of each call, (repetitions, calls), in turns (A B A B ...).

    What slows the machine slows all of them alike.
    """
    for _ in range(warm_up):
        for call in calls:
            call()
    found = [[_seconds(call) for call in calls] for _ in range(repetitions)]
    return np.array(found, dtype=np.float64).reshape(repetitions, len(calls)) * 1e3


def spread_of(times: NDArray[np.float64]) -> list[Spread]:
    """Median and quartiles of each column of `times_ms`.

    Example:
        >>> spread_of(np.array([[1.0], [2.0], [3.0]]))
        [Spread(median_ms=2.0, quartiles=(1.5, 2.5), repetitions=3)]
    """
    first, median, third = np.percentile(times, (25, 50, 75), axis=0)
    return [
        Spread(float(m), (float(a), float(b)), len(times))
        for a, m, b in zip(first, median, third, strict=True)
    ]


def _seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
