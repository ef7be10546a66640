"""Everything about a compression but the budget and the scheme."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tenfold.core.names import CostName, MetricKind, SamplerName, SelectorName, SpaceName
from tenfold.train.batches import Augmentation
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training

__all__ = ["Options", "Progress", "Searching"]

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, in all) whenever something was done."""


@dataclass(frozen=True)
class Searching:
    """Settings of the Bayesian optimisation of ranks.

    Attributes:
        trials: plans that are tried, at least 1.
        space: what is searched; see `tenfold.search.space`.
        sampler: what proposes the trials.
        storage: path of a SQLite file or URL of a database, which several processes may share; None for one
            that ends with the process.
        steps: of the recovery that each plan is given before it is judged, at least 0.
        prune: whether hopeless trials are stopped early.
        front: None for the least loss within the budget, or the limited cost that it is weighed against.
    """

    trials: int = 40
    space: SpaceName = "corrections"
    sampler: SamplerName = "tenfold"
    storage: str | Path | None = None
    steps: int = 60
    prune: bool = True
    front: CostName | None = None


@dataclass(frozen=True)
class Options:
    """Everything about a compression but the budget and the scheme.

    Attributes:
        metric: what weighs an error of a kernel; see `tenfold.core.names.MetricKind`.
        calibration: most unlabelled training images that are looked at, at least 1.
        held_out: training images kept aside to judge choices by, at least 0 and at most a fifth of them.
        selector: what chooses the ranks.
        searching: how, where that is Bayesian optimisation.
        recovery: the label-free recovery after the layers are replaced.
        training: the fine-tuning with labels after that; none by default.
        augmentation: how training images are varied.
        cut_out: side of a black square on the images of the fine-tuning, in pixels; 0 for none.
        measured: most images on which the rise of the logit error is measured layer by layer; 0 for none.
        workers: processes that fit, at least 1.
        seed: of everything that is random.
        cache: folder that keeps fits between runs; None for none.
    """

    metric: MetricKind = "logits"
    calibration: int = 2000
    held_out: int = 2000
    selector: SelectorName = "allocation"
    searching: Searching = field(default_factory=Searching)
    recovery: Recovery = field(default_factory=Recovery)
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)
    cut_out: int = 0
    measured: int = 100
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    seed: int = 0
    cache: Path | None = None
