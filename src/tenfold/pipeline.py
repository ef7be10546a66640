"""The whole way in one call: a trained network and unlabelled images in, a compressed network out.

census -> moments -> table -> plan -> fit -> apply -> recover (-> train) -> report
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.compression.fit import Fitted, fit_plan
from tenfold.compression.layers import check_layers, layer_reports, with_kept
from tenfold.compression.oneshot import apply_
from tenfold.compression.prepare import prepare
from tenfold.core.errors import PlanError
from tenfold.core.plan import Budget, Plan
from tenfold.core.report import Measures, Report
from tenfold.data.dataset import Dataset, Preprocessing, Splits, calibration_and_held_out, hold_out
from tenfold.layers.census import Census, census, check_finite
from tenfold.layers.statistics import moments
from tenfold.options import Options, Progress
from tenfold.ranks.allocate import allocate
from tenfold.ranks.cache import DiskCache
from tenfold.ranks.table import Candidate, FitCache, Layer, build_table, refine_table
from tenfold.train.batches import augmented
from tenfold.train.evaluate import evaluate
from tenfold.train.normalisation import re_estimate_
from tenfold.train.recover import recover
from tenfold.train.supervised import train_

__all__ = ["Compressed", "Planned", "compress", "plan_for", "split"]

_REFINEMENTS = 2
_RE_ESTIMATION_PASSES = 2
_STATISTICS_BATCH = 250


@dataclass(frozen=True)
class Compressed:
    """What `compress` gives back.

    Attributes:
        model: the compressed network, in evaluation mode; plain torch layers only.
        plan: what became of each layer.
        report: before, after, and how.
    """

    model: nn.Module
    plan: Plan
    report: Report


@dataclass(frozen=True)
class Planned:
    """What is known before a single layer is replaced.

    Attributes:
        census: the network, counted.
        layers: what can be factorised, with its metric.
        plan: layer -> choice.
        table: the candidates the plan was picked from; empty for a plan that was given.
    """

    census: Census
    layers: list[Layer]
    plan: Plan
    table: dict[str, tuple[Candidate, ...]]


class _Watch:
    """Seconds by phase."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase."""
        begin = perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + perf_counter() - begin, 3)


def compress(
    model: nn.Module,
    data: Splits,
    *,
    budget: Budget | None = None,
    scheme: str = "btd",
    plan: Plan | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """Make `model` fit a budget at the least loss.

    The labels of the training images are used only if ``options.training.epochs`` is above 0; the test
    images only for the accuracies in the report.

    Args:
        model: a trained classifier (logits (n, classes)); not changed. One in half or double precision is
            worked on and measured in float32, and given back as it came.
        data: images as `tenfold.load_data` gives them.
        budget: what ships at most. Needed unless a `plan` is given.
        scheme: "btd", "tucker", "cp", "tt", "tt-tucker", "svd", or "auto" (chosen layer by layer).
        plan: what to do layer by layer, instead of a budget.
        options: see `Options`.
        progress: told what is going on.

    Returns:
        The network, its plan and its report.

    Raises:
        BudgetError: the budget cannot be met.
        PlanError, RankError: the plan does not fit the network.
        NonFiniteError: the network holds NaN or inf, or training diverged.

    Example:
        A whole run on real digits is `tenfold demo`.
    """
    options = options or Options()
    tell = progress or (lambda *_: None)
    watch, exact = _Watch(), _in_float32(model)
    images, held_out = split(data.train, options)
    with watch.phase("plan"):
        survey = _surveyed(exact, images, data.preprocessing, options, tell)
        planned = (
            _given(survey, plan) if plan is not None else _allocated(survey, budget, scheme, options, tell)
        )
    with watch.phase("fit"):
        fits = fit_plan(
            planned.layers,
            planned.plan,
            seed=options.seed,
            workers=options.workers,
            progress=lambda done, total: tell("fit", done, total),
        )
        made = copy.deepcopy(exact)
        apply_(made, fits)
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    history = _Mending(made, exact, data, images, held_out, options, tell).run(watch)
    with watch.phase("evaluate"):
        accuracies = [_accuracy(net, data, tell, done) for done, net in enumerate((exact, made))]
    smaller = census(made, data.preprocessing.apply(images[:1]))
    report = _report(planned, fits, smaller, accuracies, history, watch)
    made = made if exact is model else made.to(_dtype(model))
    # channels_last was for speed here; exporters turn it into transpositions
    made = made.to(memory_format=torch.contiguous_format)
    return Compressed(made.eval(), planned.plan, report)


def plan_for(
    model: nn.Module,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    budget: Budget,
    scheme: str = "btd",
    options: Options | None = None,
    progress: Progress | None = None,
) -> Planned:
    """Everything up to the plan: what `tenfold inspect --budget` shows.

    Args:
        model: the network; not changed.
        images: unlabelled, (n, channels, height, width), uint8.
        preprocessing: what the network expects.
        budget: see `compress`.
        scheme: see `compress`.
        options: see `Options`.
        progress: told what is going on.

    Raises:
        BudgetError: the budget cannot be met.
        UnknownNameError: no such scheme.
        NonFiniteError: the network holds NaN or inf.
    """
    options = options or Options()
    tell = progress or (lambda *_: None)
    survey = _surveyed(_in_float32(model), images, preprocessing, options, tell)
    return _allocated(survey, budget, scheme, options, tell)


_Survey = tuple[Census, list[Layer]]
"""A network, counted, and its layers with their metric."""


def _surveyed(
    model: nn.Module, images: Tensor, preprocessing: Preprocessing, options: Options, tell: Progress
) -> _Survey:
    """The network, counted, and its layers with their metric."""
    check_finite(model)
    counted = census(model, preprocessing.apply(images[:1]))
    names = [layer.name for layer in counted.factorisable]
    tell("statistics", 0, 1)
    batches = augmented(
        images, preprocessing, options.augmentation, batch_size=_STATISTICS_BATCH, seed=options.seed
    )
    found = {} if options.metric == "plain" else moments(model, batches, names, seed=options.seed)
    tell("statistics", 1, 1)
    return counted, prepare(model, counted, found, metric=options.metric)


def _dtype(model: nn.Module) -> torch.dtype:
    """The one floating dtype of the parameters; float32 where there is none or a mixture."""
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else torch.float32


def _in_float32(model: nn.Module) -> nn.Module:
    """The network itself, or a float32 copy of one in half or double precision: images come in float32."""
    return model if _dtype(model) == torch.float32 else copy.deepcopy(model).float()


def split(train: Dataset, options: Options) -> tuple[Tensor, Dataset]:
    """Unlabelled calibration images, and what is held out: at most a fifth."""
    held_out = min(options.held_out, len(train) // 5)
    return calibration_and_held_out(
        train, calibration=options.calibration, held_out=held_out, seed=options.seed
    )


def _allocated(
    survey: _Survey, budget: Budget | None, scheme: str, options: Options, tell: Progress
) -> Planned:
    """A table, and the plan it gives after its ranks were refined around the optimum."""
    if budget is None:
        raise PlanError("neither a budget nor a plan was given: say what may ship, as in params=0.2")
    counted, layers = survey
    cache: FitCache | None = DiskCache(options.cache) if options.cache else None
    table = build_table(
        layers,
        scheme,
        cache=cache,
        workers=options.workers,
        progress=lambda done, total: tell("candidates", done, total),
    )
    original = {"params": counted.params, "macs": counted.macs, "size_bytes": 4 * counted.params}
    limits = budget.limits(original)
    fixed = {name: original[name] - sum(getattr(row[0], name) for row in table.values()) for name in limits}
    plan = allocate(table, limits, fixed)
    for done in range(_REFINEMENTS):
        tell("refine", done, _REFINEMENTS)
        table = refine_table(table, layers, plan, cache=cache, workers=options.workers)
        plan = allocate(table, limits, fixed)
    tell("refine", _REFINEMENTS, _REFINEMENTS)
    return Planned(counted, layers, with_kept(plan, counted), table)


def _given(survey: _Survey, plan: Plan) -> Planned:
    """A plan that was given, once all its layers are known to exist and to be factorisable."""
    counted, layers = survey
    check_layers(plan, counted, source="plan")
    return Planned(counted, layers, with_kept(plan, counted), {})


@dataclass(frozen=True)
class _Mending:
    """What brings a network of fresh chains back: statistics, recovery, fine-tuning.

    Attributes:
        made: the network of chains; changed in place.
        original: what it was made of.
        data: training images with labels for the fine-tuning.
        images: unlabelled images for the rest.
        held_out: what each step is judged by; may be empty.
        options: see `Options`.
        tell: told what is going on.
    """

    made: nn.Module
    original: nn.Module
    data: Splits
    images: Tensor
    held_out: Dataset
    options: Options
    tell: Progress

    def run(self, watch: _Watch) -> list[dict[str, Any]]:
        """All of it; what happened, step by step."""
        history: list[dict[str, Any]] = []
        with watch.phase("recover"):
            history += self._judged("one shot")
            if self.options.recovery.steps:
                history += [*self._recovered(), *self._judged("recovered")]
        if self.options.training.epochs:
            with watch.phase("train"):
                history += [*self._trained(), *self._judged("trained")]
        return history

    def _recovered(self) -> Iterator[dict[str, Any]]:
        """Match the original's answers."""
        for state in recover(
            self.made,
            self.original,
            self.images,
            self.data.preprocessing,
            settings=self.options.recovery,
            augmentation=self.options.augmentation,
            seed=self.options.seed,
        ):
            self.tell("recover", state.step, self.options.recovery.steps)
            yield {"phase": "recovery", "step": state.step, "loss": state.loss, "rate": state.rate}

    def _trained(self) -> Iterator[dict[str, Any]]:
        """Fine-tune with labels, on all training images that are not held out."""
        rest, _ = hold_out(self.data.train, len(self.held_out), seed=self.options.seed)
        for state in train_(
            self.made,
            rest,
            self.data.preprocessing,
            settings=self.options.training,
            augmentation=replace(self.options.augmentation, cut_out=self.options.cut_out),
            seed=self.options.seed,
            teacher=self.original,
        ):
            self.tell("train", state.step, state.steps)
            yield {"phase": "training", "step": state.step, "loss": state.loss, "rate": state.rate}

    def _judged(self, phase: str) -> Iterator[dict[str, Any]]:
        """Re-estimate the batch norms, and measure on the held-out images."""
        _re_estimate(self.made, self.images, self.data.preprocessing, self.options)
        if len(self.held_out):
            found = evaluate(self.made, self.held_out, self.data.preprocessing)
            yield {"phase": phase, "held_out_accuracy": found.accuracy, "held_out_loss": found.loss}


def _re_estimate(made: nn.Module, images: Tensor, preprocessing: Preprocessing, options: Options) -> None:
    """Batch-norm statistics over a few differently augmented passes."""
    passes = (
        augmented(
            images,
            preprocessing,
            options.augmentation,
            batch_size=_STATISTICS_BATCH,
            seed=options.seed + 1 + number,
        )
        for number in range(_RE_ESTIMATION_PASSES)
    )
    re_estimate_(made, chain.from_iterable(passes))


def _accuracy(model: nn.Module, data: Splits, tell: Progress, done: int) -> float:
    """Percent of the test images, the `done`-th network of two."""
    tell("evaluate", done, 2)
    accuracy = evaluate(model, data.test, data.preprocessing).accuracy
    tell("evaluate", done + 1, 2)
    return accuracy


def _report(
    planned: Planned,
    fits: dict[str, Fitted],
    smaller: Census,
    accuracies: list[float],
    history: list[dict[str, Any]],
    watch: _Watch,
) -> Report:
    """What was measured, before and after."""
    before, after = accuracies
    return Report(
        before=Measures(planned.census.params, planned.census.macs, before),
        after=Measures(smaller.params, smaller.macs, after),
        layers=layer_reports(planned.plan, fits, planned.census, smaller),
        seconds=watch.seconds,
        versions=_versions(),
        history=tuple(history),
    )


def _versions() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("tenfold", "torch", "numpy", "scipy", "onnx", "onnxruntime")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
