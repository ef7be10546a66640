"""Everything about a compression but the budget and the scheme."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenfold.core.names import (
    CostName,
    LearnedRanks,
    MetricKind,
    SamplerName,
    ScheduleName,
    SelectorName,
    SpaceName,
    TargetName,
)
from tenfold.train.batches import Augmentation
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training

__all__ = ["Learning", "Noted", "Options", "Progress", "Searching", "silent", "unnoted"]

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, in all) whenever something was done."""

Noted = Callable[[Mapping[str, Any]], None]
"""Called with each row of a report's history as soon as it is known; first those of an earlier process."""


def silent(phase: str, done: int, total: int) -> None:
    """Progress that no one looks at."""


def unnoted(row: Mapping[str, Any]) -> None:
    """A row of the history that no one looks at."""


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
class Learning:
    """Settings of learning-compression beside those of `Options`.

    Attributes:
        training: of the L steps: optimiser, batches, highest rate, schedule; its epochs, cycles, distillation
            and averaging are not looked at.
        epochs: of each L step, above 0; it has a step of the descent at least.
        warm_up: epochs before the first fit, at least 0.
        warm_up_schedule: learning rate of theirs, with the highest rate of `training`.
        steps: L steps under the constraint at most, at least 0.
        mu: weight of the constraint in the first of them, above 0; None for
            `tenfold.train.constrained.neutral_mu` of their rates.
        growth: what it is multiplied by after each, at least 1.
        multipliers: whether there are multipliers (augmented Lagrangian) or none (quadratic penalty).
        tolerance: ||w - Delta|| / ||w|| at which no further L step is made; 0 makes all.
        ranks: what chooses the ranks; see `tenfold.core.names.LearnedRanks`.
        choices: C steps, from the first one on, at which ranks are chosen, at least 1.
        generous: what the budget is multiplied by at the first of them, at least 1; at the last it is 1.
        sweeps: of an iterative fit, which goes on from the last one.
    """

    training: Training = field(default_factory=lambda: Training(rate=0.1, schedule="exp-cyclic"))
    epochs: float = 3
    warm_up: int = 6
    warm_up_schedule: ScheduleName = "one-cycle"
    steps: int = 4
    mu: float | None = None
    growth: float = 3.0
    multipliers: bool = True
    tolerance: float = 1e-3
    ranks: LearnedRanks = "allocation"
    choices: int = 4
    generous: float = 2.0
    sweeps: int = 50


@dataclass(frozen=True)
class Options:
    """Everything about a compression but the budget and the scheme.

    Attributes:
        metric: what weighs an error of a kernel; see `tenfold.core.names.MetricKind`.
        keep: layers that stay as they are; see `tenfold.layers.census.census`.
        calibration: most unlabelled training images that are looked at, at least 1.
        held_out: training images kept aside to judge choices by, at least 0 and at most a fifth of them.
        selector: what chooses the ranks.
        searching: how, where that is Bayesian optimisation.
        recovery: the label-free recovery after the layers are replaced.
        training: the fine-tuning with labels after that; none by default.
        learning: learning-compression, where the network is made by that.
        augmentation: how training images are varied.
        cut_out: side of a black square on the images of the fine-tuning, in pixels; 0 for none.
        measured: most images on which the rise of the logit error is measured layer by layer; 0 for none.
        workers: processes that fit, at least 1.
        seed: of everything that is random.
        cache: folder that keeps fits and times of layers between runs; None for none.
        target: what a budget on latency is measured in.
        latency_threads: its threads, at least 1.
    """

    metric: MetricKind = "logits"
    keep: tuple[str, ...] = ()
    calibration: int = 2000
    held_out: int = 2000
    selector: SelectorName = "allocation"
    searching: Searching = field(default_factory=Searching)
    recovery: Recovery = field(default_factory=Recovery)
    training: Training = field(default_factory=Training)
    learning: Learning = field(default_factory=Learning)
    augmentation: Augmentation = field(default_factory=Augmentation)
    cut_out: int = 0
    measured: int = 100
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    seed: int = 0
    cache: Path | None = None
    target: TargetName = "onnxruntime"
    latency_threads: int = 1
