"""What a network consists of, what can be factorised, and what a budget would make of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tenfold.config import InspectSettings
from tenfold.core.errors import BudgetError, DataError
from tenfold.core.plan import Budget, Choice
from tenfold.data.dataset import Splits
from tenfold.jobs.network import (
    check_names,
    counted_for,
    dtype_of,
    filled_in,
    images_of,
    network_of,
    options_of,
    with_kept_layers,
)
from tenfold.layers.census import Census, census
from tenfold.options import Progress, silent
from tenfold.pipeline import Planned, material_of, plan_for

__all__ = ["Inspection", "Loaded", "Prediction", "inspect", "predict"]


@dataclass(frozen=True)
class Prediction:
    """What a plan would ship, before a layer is replaced.

    Attributes:
        choices: layer -> choice, None for a kept one.
        params: layer -> numbers that ship.
        macs: layer -> multiply-adds.
        total_params: of the whole network.
        total_macs: of the whole network.
        rise: predicted rise of the squared logit error, summed over the layers.
    """

    choices: dict[str, Choice | None]
    params: dict[str, int]
    macs: dict[str, int]
    total_params: int
    total_macs: int
    rise: float


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found.

    Attributes:
        arch: name of the network.
        census: its layers.
        prediction: what the budget would make of it; None without a budget.
    """

    arch: str
    census: Census
    prediction: Prediction | None = None


@dataclass(frozen=True)
class Loaded:
    """What a budget is asked of.

    Attributes:
        model: the network, in evaluation mode.
        data: the images.
        counted: the layers, counted on one of them.
    """

    model: nn.Module
    data: Splits
    counted: Census


def inspect(settings: InspectSettings, progress: Progress = silent) -> Inspection:
    """Count a network and, where a budget is given, find the plan that meets it.

    Args:
        settings: the network, with data or the size of an image; a budget needs data.
        progress: told what is going on.

    Raises:
        TenfoldError: one of its kinds, for whatever the user can put right.
    """
    check_names(settings)
    budget = settings.asked_budget()
    if settings.data is not None:
        return _with_images(settings, budget, progress)
    if budget is not None:
        raise DataError("a plan for a budget needs images to judge layers by: give --data")
    if settings.input is None:
        raise DataError("the size of an image is not known: give --data, or --input as in 3x32x32")
    model = network_of(settings, classes=settings.classes, channels=settings.input[0])
    example = torch.zeros(1, *settings.input, dtype=dtype_of(model))
    return Inspection(settings.arch, census(model, example, settings.keep))


def _with_images(settings: InspectSettings, budget: Budget | None, progress: Progress) -> Inspection:
    """The count for the images of a data set, and the plan."""
    progress("load", 0, 1)
    data = images_of(settings)
    progress("load", 1, 1)
    settings = filled_in(settings, data)
    channels = data.train.images.shape[1]
    model = network_of(settings, classes=len(data.train.classes), channels=channels)
    counted = counted_for(model, data, settings.keep)
    if budget is None:
        return Inspection(settings.arch, counted)
    prediction = predict(settings, Loaded(model, data, counted), budget, progress)
    return Inspection(settings.arch, counted, prediction)


def predict(settings: InspectSettings, loaded: Loaded, budget: Budget, progress: Progress) -> Prediction:
    """What a budget would make of a network: the plan that meets it, before any layer is fitted for good.

    Args:
        settings: filled in for these images.
        loaded: the network and its images.
        budget: of what ships.
        progress: told what is going on.

    Raises:
        BudgetError: no plan meets it; the error names the kept layers that stand in the way.
    """
    options = options_of(settings)
    images = material_of(loaded.model, loaded.data, options).images
    try:
        planned = plan_for(
            loaded.model,
            images,
            loaded.data.preprocessing,
            budget=budget,
            scheme=settings.scheme,
            options=options,
            progress=progress,
        )
    except BudgetError as error:
        raise with_kept_layers(error, loaded.counted) from None
    return _predicted(planned)


def _predicted(planned: Planned) -> Prediction:
    """Sum the candidates that the plan picked."""
    picked = {
        name: next(candidate for candidate in row if candidate.choice == planned.plan[name])
        for name, row in planned.table.items()
    }
    layers = planned.census.layers
    params = {x.name: picked[x.name].params if x.name in picked else x.params for x in layers}
    macs = {x.name: picked[x.name].macs if x.name in picked else x.macs for x in layers}
    saved = sum(x.params - params[x.name] for x in layers)
    return Prediction(
        choices={x.name: planned.plan[x.name] for x in layers},
        params=params,
        macs=macs,
        total_params=planned.census.params - saved,
        total_macs=sum(macs.values()),
        rise=sum(candidate.rise for candidate in picked.values()),
    )
