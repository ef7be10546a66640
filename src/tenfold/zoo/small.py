"""A small network for small images, quick to train on a laptop."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SmallCnn"]

_WIDTHS = (32, 64, 64, 64)


class SmallCnn(nn.Module):
    """Four 3x3 convolutions with batch normalisation, global average pooling, one linear layer.

    About 94,000 parameters. The image is halved after the second and third convolution, so that 8x8
    digits are as welcome as 32x32 photographs.

    Args:
        classes: number of outputs.
        channels: of the images, which are at least 4x4.

    Example:
        >>> sum(p.numel() for p in SmallCnn(classes=10, channels=1).parameters())
        93546
    """

    def __init__(self, *, classes: int, channels: int = 3) -> None:
        """Build it with random weights (PyTorch's own initialisation)."""
        super().__init__()
        layers: list[nn.Module] = []
        for index, width in enumerate(_WIDTHS):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            if index in (1, 2):
                layers.append(nn.MaxPool2d(2))
            channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """From images (n, channels, h, w) to logits (n, classes)."""
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits
