"""Networks of the benchmarks that tenfold does not bring along."""

from __future__ import annotations

from torch import nn


def vgg(classes: int, channels: int) -> nn.Module:
    """Six 3x3 convolutions in three groups as in VGG, for 28x28 images; 29 million MACs."""
    layers: list[nn.Module] = []
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
