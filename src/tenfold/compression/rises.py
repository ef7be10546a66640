"""What the loss really rises by when one layer alone is replaced: what a prediction is held against."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tenfold.compression.fit import Fitted
from tenfold.compression.oneshot import apply_
from tenfold.core.shapes import at_a_time
from tenfold.layers.answers import tensors
from tenfold.layers.mode import in_mode

__all__ = ["measured_rises"]

_IMAGES = 125  # at a time


def measured_rises(model: nn.Module, fits: Mapping[str, Fitted], images: Tensor) -> dict[str, float]:
    """Half the squared difference of the logits, centred over classes, an image, layer by layer.

    The predicted rise of a fit is the same quantity, from the moments of the layer alone.

    Args:
        model: the original network; not changed.
        fits: chains by layer.
        images: preprocessed, (n, channels, height, width).

    Returns:
        For each layer of `fits` a number of at least 0.
    """
    with in_mode(model, training=False), torch.no_grad():
        wanted = _answer(model, images)
        return {name: _rise(model, {name: fitted}, images, wanted) for name, fitted in fits.items()}


def _rise(model: nn.Module, one: Mapping[str, Fitted], images: Tensor, wanted: Tensor) -> float:
    """With the layers of `one` replaced."""
    made = copy.deepcopy(model)
    apply_(made, one)
    change = _answer(made.eval(), images) - wanted
    return 0.5 * float(change.square().sum()) / len(images)


def _answer(model: nn.Module, images: Tensor) -> Tensor:
    """Everything that the network answers, centred over classes, (n, numbers), float64."""
    batches = images.clone().split(at_a_time(images.shape, _IMAGES))
    return torch.cat([_centred(tensors(model(batch))) for batch in batches])


def _centred(answers: Iterable[Tensor]) -> Tensor:
    """All numbers of an image in one row."""
    parts = [part.flatten(1).double() for part in answers]
    return torch.cat([part - part.mean(1, keepdim=True) for part in parts], 1)
