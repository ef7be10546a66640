"""What a torch network answers in eval mode, whatever the form of its answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tenfold.layers.answers import tensors
from tenfold.layers.mode import in_mode

__all__ = ["answers"]


def answers(model: nn.Module, images: Tensor) -> list[Tensor]:
    """The outputs of `model` in eval mode, on the CPU; images (n, channels, height, width) on any device."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with in_mode(model, training=False), torch.no_grad():
        return [answer.cpu() for answer in tensors(model(images.to(device)))]
