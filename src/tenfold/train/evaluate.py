"""Accuracy and loss over a labelled set."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.core.shapes import at_a_time
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.layers.mode import in_mode
from tenfold.train.team import ALONE, Team

__all__ = ["Evaluation", "evaluate"]

_TEMPERATURES = torch.logspace(-3, 3, 97, base=2)  # steps of 4 %: the least loss to some 1e-4 of itself
_PLAIN = 48  # the temperature 1


class Evaluation(NamedTuple):
    """What a network makes of a labelled set.

    Attributes:
        accuracy: percent classified correctly, in [0, 100].
        loss: mean cross-entropy in nats, at least 0.
        images: how many there were, at least 1.
        calibrated: mean cross-entropy of the logits divided by the temperature that makes it least, in nats,
            at most `loss` (Guo, Pleiss, Sun & Weinberger, ICML 2017, section 4.2): what is known about the
            classes, however sure the network is of it.
    """

    accuracy: float
    loss: float
    images: int
    calibrated: float

    @property
    def standard_error(self) -> float:
        """Of the accuracy, in percent points: `sqrt(a (100 - a) / images)`, in [0, 50]."""
        return math.sqrt(self.accuracy * (100 - self.accuracy) / self.images)


def evaluate(
    model: nn.Module,
    data: Dataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 100,
    team: Team = ALONE,
) -> Evaluation:
    """Run `model` in evaluation mode over all of `data`, without gradients.

    Args:
        model: gives logits (n, classes); left as it was.
        data: at least one image.
        preprocessing: what the network expects.
        batch_size: images at a time, fewer of large ones. On a CPU fewer are faster: at 250 of 32x32 the
            pages of ever new buffers took as long as the arithmetic.
        team: processes that each look at a share of the batches; all are told the same.
    """
    right, losses = 0, torch.zeros(len(_TEMPERATURES), dtype=torch.float64)
    batch_size = at_a_time(data.images.shape, batch_size)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with in_mode(model, training=False), torch.inference_mode():
        for start in range(team.rank * batch_size, len(data), team.size * batch_size):
            images = preprocessing.apply(data.images[start : start + batch_size]).to(device)
            labels = data.labels[start : start + batch_size].to(device)
            logits = model(images.contiguous(memory_format=torch.channels_last)).float()
            right += int((logits.argmax(1) == labels).sum())
            losses += _at_temperatures(logits, labels)
    rate, *means = (team.sum(torch.cat([losses.new_tensor([right]), losses])) / len(data)).tolist()
    return Evaluation(100 * rate, means[_PLAIN], len(data), min(means))


def _at_temperatures(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross-entropies at each temperature, float64."""
    scaled = logits / _TEMPERATURES.to(logits)[:, None, None]
    every = labels.expand(len(scaled), -1)
    found = functional.cross_entropy(scaled.flatten(0, 1), every.flatten(), reduction="none")
    return found.view(every.shape).double().sum(1).cpu()
