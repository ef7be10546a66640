"""VGG-16 with batch normalisation, for 32x32 images."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Vgg16Bn"]

_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Vgg16Bn(nn.Module):
    """Thirteen 3x3 convolutions in five groups, each followed by 2x2 max pooling, and one linear layer.

    Args:
        classes: number of outputs.
        channels: of the images, which are at least 32x32; what is left of larger ones is averaged.

    Notes:
        Simonyan & Zisserman, "Very deep convolutional networks", ICLR 2015, configuration D, with one
        linear layer instead of three, as is usual on CIFAR. Tensor names: `features.{i}`, counted as
        torchvision does, and `classifier`.

    Example:
        >>> sum(p.numel() for p in Vgg16Bn(classes=10).parameters())
        14728266
    """

    def __init__(self, *, classes: int, channels: int = 3) -> None:
        """Build it with random weights (He initialisation)."""
        super().__init__()
        layers: list[nn.Module] = []
        for widths in _WIDTHS:
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # these convolutions have one

    def forward(self, x: Tensor) -> Tensor:
        """From images (n, channels, h, w) to logits (n, classes)."""
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits
