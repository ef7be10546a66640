"""Everything about a compression but the budget and the scheme."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tenfold.core.names import MetricKind
from tenfold.train.batches import Augmentation
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training

__all__ = ["Options", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, in all) whenever something was done."""


@dataclass(frozen=True)
class Options:
    """Everything about a compression but the budget and the scheme.

    Attributes:
        metric: what weighs an error of a kernel; see `tenfold.core.names.MetricKind`.
        calibration: most unlabelled training images that are looked at, at least 1.
        held_out: training images kept aside to judge choices by, at least 0 and at most a fifth of them.
        recovery: the label-free recovery after the layers are replaced.
        training: the fine-tuning with labels after that; none by default.
        augmentation: how training images are varied.
        cut_out: side of a black square on the images of the fine-tuning, in pixels; 0 for none.
        workers: processes that fit, at least 1.
        seed: of everything that is random.
        cache: folder that keeps fits between runs; None for none.
    """

    metric: MetricKind = "logits"
    calibration: int = 2000
    held_out: int = 5000
    recovery: Recovery = field(default_factory=Recovery)
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)
    cut_out: int = 0
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    seed: int = 0
    cache: Path | None = None
