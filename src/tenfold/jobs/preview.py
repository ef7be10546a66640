"""What a job would do, before it is started: what will ship, and about how long it takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from tenfold.config import CompressSettings, InspectSettings, LearnSettings
from tenfold.core.plan import Budget, Plan
from tenfold.core.shapes import macs, params, repeat_groups
from tenfold.data.dataset import Splits
from tenfold.jobs.inspect import Loaded, predict
from tenfold.jobs.network import check_names, check_plan, counted_for, filled_in, images_of, network_of
from tenfold.layers.census import Census
from tenfold.options import Progress, silent
from tenfold.schemes.registry import get_scheme
from tenfold.train.recover import Recovery

__all__ = ["Preview", "preview"]

_TIMED_IMAGES = 32  # a step costs as much for each image of a larger batch
_TIMED_STEPS = 3
_ANSWER = 1 / 3  # of a step: forwards alone, as of the original that is learned from
_HELD_OUT = 0.2  # largest share of the training images that is held out


@dataclass(frozen=True)
class Preview:
    """What a job would do.

    Attributes:
        arch: name of the network.
        params: (before, after); after learning-compression, the budget's bound; None where nothing limits it.
        macs: likewise.
        factorised: number of layers that are replaced; None for learning-compression, which finds out.
        layers: number of layers that could be considered.
        steps: of training in all.
        seconds: of that training on this machine, from a step that was timed; a job takes some more.
    """

    arch: str
    params: tuple[int, int | None]
    macs: tuple[int, int | None]
    factorised: int | None
    layers: int
    steps: int
    seconds: float


def preview(settings: CompressSettings | LearnSettings, progress: Progress = silent) -> Preview:
    """Say what a job would do, by the ranks that its budget allows, or those of its plan.

    A search of ranks ends with others, which meet the same budget.

    Raises:
        TenfoldError: one of its kinds, for whatever the user can put right.
    """
    check_names(settings)
    data = images_of(settings)
    shape = data.train.images.shape[1]
    model = network_of(settings, classes=len(data.train.classes), channels=shape)
    loaded = Loaded(model, data, counted_for(model, data, settings.keep))
    counted = loaded.counted
    steps = _steps(filled_in(settings, data), data.train.images.shape)
    seconds = sum(count * _step_seconds(model, data, batch) for count, batch in steps)
    before = {"params": counted.params, "macs": sum(layer.macs for layer in counted.layers)}
    after, factorised = _after(settings, loaded, before, progress)
    return Preview(
        arch=settings.arch,
        params=(before["params"], after.get("params")),
        macs=(before["macs"], after.get("macs")),
        factorised=factorised,
        layers=len(counted.layers),
        steps=round(sum(count for count, _ in steps)),
        seconds=seconds,
    )


def _after(
    settings: CompressSettings | LearnSettings, loaded: Loaded, before: Mapping[str, int], progress: Progress
) -> tuple[dict[str, int], int | None]:
    """What would ship, and how many layers are replaced."""
    if settings.plan is not None:
        plan = check_plan(settings.plan, loaded.counted)
        return _counted(plan, loaded.counted, before), len(plan.factorised)
    budget = Budget(**settings.budget)
    if isinstance(settings, LearnSettings):
        size = {"size_bytes": 4 * before["params"], "latency_ms": 1.0}
        limits = budget.limits({**before, **size})
        return {name: int(limits[name]) for name in before if name in limits}, None
    found = predict(filled_in(_inspecting(settings), loaded.data), loaded, budget, progress)
    factorised = sum(choice is not None for choice in found.choices.values())
    return {"params": found.total_params, "macs": found.total_macs}, factorised


def _inspecting(settings: CompressSettings) -> InspectSettings:
    """The same settings, without those of a training."""
    values = {name: value for name, value in settings if name in InspectSettings.model_fields}
    return InspectSettings.make(values)


def _counted(plan: Plan, counted: Census, before: Mapping[str, int]) -> dict[str, int]:
    """What a plan would ship: exact."""
    after = dict(before)
    for name, choice in plan.factorised.items():
        layer = counted.layer(name)
        spec = layer.spec
        if spec is None:
            raise AssertionError(name)  # check_plan lets only factorisable layers through
        stages = repeat_groups(get_scheme(choice.scheme).layout(spec.group, choice.rank), spec.groups)
        after["params"] += params(stages, bias=spec.bias) - layer.params
        after["macs"] += sum(macs(spec, stages, size) for size in layer.sizes) - layer.macs
    return after


def _steps(settings: CompressSettings | LearnSettings, shape: Sequence[int]) -> list[tuple[float, int]]:
    """Steps of training, as many as would take the time of plain ones, and images in each."""
    images = shape[0] - min(settings.held_out, int(_HELD_OUT * shape[0]))
    per_epoch = max(images // settings.batch, 1)
    answers = (2 if settings.mirrored and settings.flip else 1) if settings.distillation else 0
    training = (1 + answers * _ANSWER) * settings.epochs * per_epoch
    recovery = float(settings.recovery_steps)
    if isinstance(settings, LearnSettings):
        training += (settings.warm_up + settings.steps * settings.step_epochs) * per_epoch
    elif settings.until == "plan":
        recovery, training = _searching(settings), 0.0
    else:
        recovery += _searching(settings)
    return [
        ((1 + _ANSWER) * recovery, Recovery(batch_size=settings.recovery_batch).together(shape)),
        (training, settings.batch),
    ]


def _searching(settings: CompressSettings) -> int:
    """Steps of recovery that trials are given."""
    return settings.trials * settings.trial_steps if settings.selector == "bayes" else 0


def _step_seconds(model: torch.nn.Module, data: Splits, batch: int) -> float:
    """How long a step takes on a batch: the least of some on few images."""
    count = min(batch, _TIMED_IMAGES, len(data.train))
    images = data.preprocessing.apply(data.train.images[:count])
    images = images.to(next(model.parameters()).dtype)
    labels = data.train.labels[:count]
    spent = []
    for _ in range(_TIMED_STEPS):
        begin = time.perf_counter()
        functional.cross_entropy(model(images), labels).backward()
        spent.append(time.perf_counter() - begin)
    return min(spent) * batch / count
