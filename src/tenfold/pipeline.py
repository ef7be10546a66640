"""The whole way in one call: a trained network and unlabelled images in, a compressed network out.

census -> moments -> table -> plan -> fit -> apply -> recover (-> train) -> report
"""

from __future__ import annotations

import copy
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.compression.fit import Fitted, fit_plan
from tenfold.compression.oneshot import apply_
from tenfold.compression.prepare import MetricKind, prepare
from tenfold.core.errors import PlanError, nearest
from tenfold.core.plan import Budget, Plan
from tenfold.core.report import LayerReport, Measures, Report
from tenfold.data.dataset import Dataset, Preprocessing, Splits, calibration_and_held_out, hold_out
from tenfold.layers.census import Census, LayerInfo, census, check_finite
from tenfold.layers.statistics import moments
from tenfold.ranks.allocate import allocate
from tenfold.ranks.cache import DiskCache
from tenfold.ranks.table import Candidate, FitCache, Layer, build_table, refine_table
from tenfold.train.batches import Augmentation, augmented
from tenfold.train.evaluate import evaluate
from tenfold.train.normalisation import re_estimate_
from tenfold.train.recover import Recovery, recover
from tenfold.train.supervised import Training, train_

__all__ = ["Compressed", "Options", "Planned", "Progress", "compress", "plan_for"]

Progress = Callable[[str, int, int], None]
"""Called with (phase, done, in all) whenever something was done."""

_REFINEMENTS = 2
_RE_ESTIMATION_PASSES = 2
_STATISTICS_BATCH = 250


@dataclass(frozen=True)
class Options:
    """Everything about a compression but the budget and the scheme.

    Attributes:
        metric: what weighs an error of a kernel; see `tenfold.compression.prepare.MetricKind`.
        calibration: most unlabelled training images that are looked at, at least 1.
        held_out: training images kept aside to judge choices by, at least 0 and at most a fifth of them.
        recovery: the label-free recovery after the layers are replaced.
        training: the fine-tuning with labels after that; none by default.
        augmentation: how training images are varied.
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
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    seed: int = 0
    cache: Path | None = None


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
        model: a trained classifier (logits (n, classes)); not changed.
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
        A whole run on real digits is `tenfold demo`; see also docs/api.md.
    """
    options = options or Options()
    tell = progress or (lambda *_: None)
    watch = _Watch()
    images, held_out = _split(data.train, options)
    with watch.phase("plan"):
        planned = plan_for(
            model,
            images,
            data.preprocessing,
            budget=budget,
            scheme=scheme,
            plan=plan,
            options=options,
            progress=tell,
        )
    with watch.phase("fit"):
        fits = fit_plan(
            planned.layers,
            planned.plan,
            seed=options.seed,
            workers=options.workers,
            progress=lambda done, total: tell("fit", done, total),
        )
    made = copy.deepcopy(model)
    apply_(made, fits)
    made = made.to(memory_format=torch.channels_last)
    history = _mend(made, model, data, images, held_out, options, tell, watch)
    with watch.phase("evaluate"):
        tell("evaluate", 0, 2)
        before = evaluate(model, data.test, data.preprocessing)
        tell("evaluate", 1, 2)
        after = evaluate(made, data.test, data.preprocessing)
        tell("evaluate", 2, 2)
    example = data.preprocessing.apply(images[:1])
    smaller = census(made, example)
    report = Report(
        before=Measures(planned.census.params, planned.census.macs, before.accuracy),
        after=Measures(smaller.params, smaller.macs, after.accuracy),
        layers=_layer_reports(planned, fits, smaller),
        seconds=watch.seconds,
        versions=_versions(),
        history=tuple(history),
    )
    return Compressed(made.eval(), planned.plan, report)


def plan_for(
    model: nn.Module,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    budget: Budget | None,
    scheme: str = "btd",
    plan: Plan | None = None,
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
        plan: taken as it is, after a check that its layers exist, if given.
        options: see `Options`.
        progress: told what is going on.
    """
    options = options or Options()
    tell = progress or (lambda *_: None)
    check_finite(model)
    counted = census(model, preprocessing.apply(images[:1]))
    names = [layer.name for layer in counted.factorisable]
    tell("statistics", 0, 1)
    batches = augmented(
        images, preprocessing, options.augmentation, batch_size=_STATISTICS_BATCH, seed=options.seed
    )
    found = {} if options.metric == "plain" else moments(model, batches, names, seed=options.seed)
    tell("statistics", 1, 1)
    layers = prepare(model, counted, found, metric=options.metric)
    if plan is not None:
        return Planned(counted, layers, _checked(plan, counted), {})
    if budget is None:
        raise PlanError("neither a budget nor a plan was given: say what may ship, as in budget params=0.2")
    table, chosen = _allocated(counted, layers, budget, scheme, options, tell)
    return Planned(counted, layers, _with_kept(chosen, counted), table)


def _split(train: Dataset, options: Options) -> tuple[Tensor, Dataset]:
    """Unlabelled calibration images, and what is held out."""
    held_out = min(options.held_out, len(train) // 5)
    return calibration_and_held_out(
        train, calibration=options.calibration, held_out=held_out, seed=options.seed
    )


def _allocated(
    counted: Census, layers: list[Layer], budget: Budget, scheme: str, options: Options, tell: Progress
) -> tuple[dict[str, tuple[Candidate, ...]], Plan]:
    """A table, and the plan it gives after its ranks were refined around the optimum."""
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
    return table, plan


def _checked(plan: Plan, counted: Census) -> Plan:
    """A given plan, once all its layers are known to exist and to be factorisable."""
    names = [layer.name for layer in counted.layers]
    for name, choice in plan.items():
        if name not in names:
            raise PlanError(f"plan: no layer {name!r} in this network; {nearest(name, names)}")
        reason = counted.layer(name).reason
        if choice is not None and reason:
            raise PlanError(f"plan: {name} cannot be factorised: {reason}; write null for it")
    return _with_kept(plan, counted)


def _with_kept(plan: Plan, counted: Census) -> Plan:
    """A plan that names every layer of the network, in network order."""
    return Plan({layer.name: plan.get(layer.name) for layer in counted.layers})


def _mend(  # noqa: PLR0913
    made: nn.Module,
    model: nn.Module,
    data: Splits,
    images: Tensor,
    held_out: Dataset,
    options: Options,
    tell: Progress,
    watch: _Watch,
) -> list[dict[str, Any]]:
    """Re-estimate, recover, train; what happened, step by step."""
    history: list[dict[str, Any]] = []

    def judge(phase: str) -> None:
        _re_estimate(made, images, data.preprocessing, options)
        if len(held_out):
            found = evaluate(made, held_out, data.preprocessing)
            history.append({"phase": phase, "held_out_accuracy": found.accuracy, "held_out_loss": found.loss})

    with watch.phase("recover"):
        judge("one shot")
        if options.recovery.steps:
            for state in recover(
                made,
                model,
                images,
                data.preprocessing,
                settings=options.recovery,
                augmentation=options.augmentation,
                seed=options.seed,
            ):
                history.append(
                    {"phase": "recovery", "step": state.step, "loss": state.loss, "rate": state.rate}
                )
                tell("recover", state.step, options.recovery.steps)
            judge("recovered")
    if options.training.epochs:
        with watch.phase("train"):
            rest, _ = hold_out(data.train, len(held_out), seed=options.seed)
            for step in train_(
                made,
                rest,
                data.preprocessing,
                settings=options.training,
                augmentation=options.augmentation,
                seed=options.seed,
            ):
                history.append({"phase": "training", "step": step.step, "loss": step.loss, "rate": step.rate})
                tell("train", step.step, step.steps)
            judge("trained")
    return history


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


def _layer_reports(planned: Planned, fits: dict[str, Fitted], smaller: Census) -> tuple[LayerReport, ...]:
    """One row a layer of the original network."""
    return tuple(_layer_report(info, planned.plan, fits, smaller) for info in planned.census.layers)


def _layer_report(info: LayerInfo, plan: Plan, fits: dict[str, Fitted], smaller: Census) -> LayerReport:
    """What became of one layer."""
    fitted = fits.get(info.name)
    stages = [x for x in smaller.layers if x.name == info.name or x.name.startswith(info.name + ".")]
    reason = "" if fitted else info.reason or "kept: a chain would cost more than it saves here"
    return LayerReport(
        name=info.name,
        choice=plan[info.name],
        reason=reason,
        params=(info.params, sum(x.params for x in stages)),
        macs=(info.macs, sum(x.macs for x in stages)),
        error=fitted.error if fitted else 0.0,
        predicted_rise=fitted.rise if fitted else 0.0,
    )


def _versions() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("tenfold", "torch", "numpy", "scipy", "onnx", "onnxruntime")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
