"""Accuracy and loss over a labelled set."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.layers.mode import in_mode

__all__ = ["Evaluation", "evaluate"]


class Evaluation(NamedTuple):
    """What a network makes of a labelled set.

    Attributes:
        accuracy: percent classified correctly, in [0, 100].
        loss: mean cross-entropy in nats, at least 0.
    """

    accuracy: float
    loss: float


def evaluate(
    model: nn.Module, data: Dataset, preprocessing: Preprocessing, *, batch_size: int = 250
) -> Evaluation:
    """Run `model` in evaluation mode over all of `data`, without gradients.

    Args:
        model: gives logits (n, classes); left as it was.
        data: at least one image.
        preprocessing: what the network expects.
        batch_size: images at a time.
    """
    right, loss = 0, 0.0
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with in_mode(model, training=False), torch.inference_mode():
        for start in range(0, len(data), batch_size):
            images = preprocessing.apply(data.images[start : start + batch_size]).to(device)
            labels = data.labels[start : start + batch_size].to(device)
            logits = model(images.contiguous(memory_format=torch.channels_last)).float()
            right += int((logits.argmax(1) == labels).sum())
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return Evaluation(100 * right / len(data), loss / len(data))
