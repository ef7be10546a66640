"""The network and the images of a job, and all that can be wrong with them before the work begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from tenfold.compression.layers import check_layers
from tenfold.config import CompressSettings, LearnSettings, NetworkSettings, TrainingSettings
from tenfold.core.errors import (
    BudgetError,
    PlanError,
    RankError,
    ShapeError,
    UnknownNameError,
    WeightsError,
)
from tenfold.core.plan import Plan
from tenfold.data.cache import cache_directory
from tenfold.data.dataset import Splits
from tenfold.data.source import data_names, load_data
from tenfold.layers.census import Census, LayerInfo, census
from tenfold.layers.mode import in_mode
from tenfold.options import Learning, Options, Searching
from tenfold.schemes.base import check_rank
from tenfold.schemes.registry import get_scheme
from tenfold.train.batches import Augmentation
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training
from tenfold.zoo.build import architectures, build
from tenfold.zoo.weights import load_weights

__all__ = [
    "check_answer",
    "check_names",
    "check_plan",
    "counted_for",
    "dtype_of",
    "filled_in",
    "images_of",
    "network_of",
    "options_of",
    "with_kept_layers",
]

_Settings = TypeVar("_Settings", bound=NetworkSettings)

_MIRRORED = ("digits", "mnist")  # a mirrored digit is no digit
_SHOWN = 3
_RANDOM = ("torchvision", "timm")  # origins whose networks come with random weights


def check_names(settings: NetworkSettings) -> None:
    """Refuse, before any image is read, a network that does not exist and a checkpoint that is not there.

    Raises:
        UnknownNameError: tenfold has no network of that name, and it is no factory.
        WeightsError: no checkpoint where one is needed, or no such file.
    """
    origin, colon, _ = settings.arch.partition(":")
    if not colon and settings.arch not in architectures():
        raise UnknownNameError("architecture", settings.arch, architectures())
    if settings.weights is not None and not settings.weights.is_file():
        met = "it is a folder" if settings.weights.is_dir() else "there is no such file"
        raise WeightsError(
            f"weights {settings.weights}: {met}; give a safetensors file or a torch checkpoint"
        )
    if (
        isinstance(settings, CompressSettings)
        and settings.weights is None
        and (not colon or origin in _RANDOM)
    ):
        raise WeightsError(
            f"{settings.arch} comes with random weights: give --weights, the checkpoint of a trained network"
        )


def images_of(settings: NetworkSettings) -> Splits:
    """The data set of the settings; they name one."""
    return load_data(
        settings.data or "",
        resize=settings.resize,
        channels=settings.channels,
        mean=settings.mean,
        std=settings.std,
    )


def network_of(settings: NetworkSettings, *, classes: int, channels: int) -> nn.Module:
    """The network of the settings, in evaluation mode, with its weights where a checkpoint is named."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = build(settings.arch, classes=classes, channels=channels)
    if settings.weights is not None:
        load_weights(model, settings.weights)
    return model.eval()


def check_answer(model: nn.Module, data: Splits) -> None:
    """Refuse a network that does not classify these images.

    Raises:
        ShapeError: the network cannot take an image, or does not answer with one logit a class.
    """
    example = data.preprocessing.apply(data.test.images[:1])
    with in_mode(model, training=False), torch.no_grad():
        try:
            answer = model(example.to(dtype_of(model)))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            line = str(error).partition("\n")[0]
            raise ShapeError(
                f"the network does not take images of shape {tuple(example.shape[1:])}: {line}; "
                "set resize and channels"
            ) from error
    met = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
    wanted = (1, len(data.test.classes))
    if met != wanted:
        raise ShapeError(
            f"the network answers an image with {met}, the data needs logits of shape {wanted}: "
            "give the network or the images that go together"
        )


def counted_for(model: nn.Module, data: Splits, keep: Sequence[str]) -> Census:
    """The network, counted on an image of `data`, once it is known to classify them; `keep` as for `census`.

    Raises:
        ShapeError: as `check_answer`.
        PlanError: one of `keep` names no layer.
    """
    check_answer(model, data)
    return census(model, data.preprocessing.apply(data.train.images[:1]).to(dtype_of(model)), keep)


def dtype_of(model: nn.Module) -> torch.dtype:
    """The dtype that a network wants its images in: that of its first parameter."""
    return next((p.dtype for p in model.parameters()), torch.float32)


def check_plan(path: Path, counted: Census) -> Plan:
    """Read a plan and refuse one that the network cannot follow, before any layer is fitted.

    Raises:
        PlanError: the file cannot be read, or names a layer that is not there or must be kept.
        UnknownNameError: no such scheme.
        RankError: a rank does not fit its layer.
    """
    try:
        plan = Plan.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        cause = (isinstance(error, OSError) and error.strerror) or "this is no text"
        raise PlanError(f"plan {path}: {cause}; give the plan.json of a run") from None
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None
    check_layers(plan, counted, source=str(path))
    for name, choice in plan.factorised.items():
        spec = counted.layer(name).spec
        if spec is None:
            raise AssertionError(name)  # check_layers lets only factorisable layers through
        try:
            check_rank(get_scheme(choice.scheme), spec.group, choice.rank)
        except RankError as error:
            raise RankError(f"{path}: {name}: {error}") from None
    return plan


def filled_in(settings: _Settings, data: Splits) -> _Settings:
    """The settings with everything that was left to be found out, now that the images are known."""
    return settings.with_values(
        weights=settings.weights and settings.weights.resolve(),
        data=settings.data if settings.data in data_names() else str(Path(settings.data or "").resolve()),
        channels=data.train.images.shape[1],
        mean=data.preprocessing.mean,
        std=data.preprocessing.std,
        padding=settings.padding if settings.padding is not None else _padding(data),
        flip=settings.flip if settings.flip is not None else settings.data not in _MIRRORED,
        cache=(settings.cache or cache_directory() / "fits").absolute(),
        **_paths(settings),
    )


def _paths(settings: NetworkSettings) -> dict[str, object]:
    """What else names files: a run may be gone on with from another folder."""
    if not isinstance(settings, TrainingSettings):
        return {}
    paths: dict[str, object] = {"plan": settings.plan and settings.plan.absolute()}
    if isinstance(settings, CompressSettings):
        storage = settings.storage
        local = storage is not None and "://" not in storage
        paths["storage"] = str(Path(storage or "").absolute()) if local else storage
    return paths


def options_of(settings: NetworkSettings) -> Options:
    """What the pipeline makes of settings that are filled in."""
    options = Options(
        metric=settings.metric,
        keep=settings.keep,
        calibration=settings.calibration,
        augmentation=Augmentation(padding=settings.padding or 0, flip=bool(settings.flip)),
        workers=settings.workers,
        seed=settings.seed,
        cache=settings.cache,
        target=settings.target,
        latency_threads=settings.latency_threads,
    )
    if isinstance(settings, TrainingSettings):
        options = replace(
            options,
            held_out=settings.held_out,
            cut_out=settings.cut_out,
            training=_training(settings),
            recovery=_recovery(settings),
        )
    if isinstance(settings, CompressSettings):
        return _compressing(options, settings)
    return _learning(options, settings) if isinstance(settings, LearnSettings) else options


def _compressing(options: Options, settings: CompressSettings) -> Options:
    """What a compress job has of its own."""
    return replace(
        options,
        selector=settings.selector,
        measured=settings.measured,
        searching=Searching(
            trials=settings.trials,
            space=settings.space,
            sampler=settings.sampler,
            storage=settings.storage,
            steps=settings.trial_steps,
            prune=settings.prune,
            front=settings.front,
        ),
    )


def _learning(options: Options, settings: LearnSettings) -> Options:
    """What a learn job has of its own."""
    return replace(
        options,
        learning=Learning(
            training=replace(
                options.training, rate=settings.step_rate, schedule=settings.step_schedule, cycles=1
            ),
            epochs=settings.step_epochs,
            warm_up=settings.warm_up,
            warm_up_schedule=settings.warm_up_schedule,
            steps=settings.steps,
            mu=settings.mu,
            growth=settings.growth,
            multipliers=settings.multipliers,
            tolerance=settings.tolerance,
            ranks=settings.ranks,
            choices=settings.choices,
            generous=settings.generous,
        ),
        searching=Searching(trials=settings.rank_trials),
    )


def _recovery(settings: TrainingSettings) -> Recovery:
    """What goes before it."""
    return Recovery(
        steps=settings.recovery_steps,
        batch_size=settings.recovery_batch,
        rate=settings.recovery_rate,
        features=settings.recovery_features,
        mixed=settings.recovery_mixed,
        form=settings.form,
        precision=settings.precision,
    )


def _training(settings: TrainingSettings) -> Training:
    """The training of chains."""
    return Training(
        epochs=settings.epochs,
        batch_size=settings.batch,
        rate=settings.rate,
        optimiser=settings.optimiser,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        cycles=settings.cycles,
        smoothing=settings.smoothing,
        distillation=settings.distillation,
        temperature=settings.temperature,
        mirrored=settings.mirrored,
        mixed=settings.mixed,
        averaging=settings.averaging,
        form=settings.form,
        precision=settings.precision,
    )


def with_kept_layers(error: BudgetError, counted: Census) -> BudgetError:
    """The same error, with the kept layers that stand in the way."""
    kept = sorted((layer for layer in counted.layers if layer.reason), key=lambda layer: -layer.params)
    if not kept:
        return error
    rest = f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else ""
    return BudgetError(f"{error} (kept layers: {', '.join(map(_named, kept[:_SHOWN]))}{rest})")


def _named(layer: LayerInfo) -> str:
    """A kept layer in an error message."""
    return f"{layer.name} with {layer.params:,} params and {layer.macs:,} macs"


def _padding(data: Splits) -> int:
    """An eighth of the height, as is usual for images of 32x32, and no more than there."""
    return min(4, data.train.images.shape[2] // 8)
