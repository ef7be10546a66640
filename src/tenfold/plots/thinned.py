"""Long curves made short: more points than a figure has pixels are one line, only heavier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["binned", "corners"]

_BINS = 250

_Numbers = NDArray[np.float64]


def binned(places: _Numbers, values: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers, _Numbers]:
    """(place, mean, smallest, largest) of at most 250 equal stretches of a curve."""
    if len(places) <= _BINS:
        return places, values, values, values
    begins = np.linspace(0, len(places), _BINS, endpoint=False).astype(int)
    counts = np.diff(np.append(begins, len(places)))
    return (
        np.add.reduceat(places, begins) / counts,
        np.add.reduceat(values, begins) / counts,
        np.minimum.reduceat(values, begins),
        np.maximum.reduceat(values, begins),
    )


def corners(values: _Numbers) -> Sequence[int]:
    """Places that keep every jump of a curve: first, smallest, largest and last of each of 250 stretches."""
    if len(values) <= 4 * _BINS:
        return range(len(values))
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), _BINS):
        part = values[stretch]
        kept |= {int(stretch[place]) for place in (0, part.argmin(), part.argmax(), -1)}
    return sorted(kept)
