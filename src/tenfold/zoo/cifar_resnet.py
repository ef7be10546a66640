"""The residual networks for CIFAR, with the tensor names of the public checkpoints."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tenfold.core.errors import ShapeError

__all__ = ["CifarResNet"]


class _PaddedShortcut(nn.Module):
    """Option A: every other pixel, and zeros for the new channels on both sides; no parameters."""

    def __init__(self, inp: int, out: int) -> None:
        """From `inp` channels to `out`, at half the height and width."""
        super().__init__()
        self.before = (out - inp) // 2
        self.after = out - inp - self.before

    def forward(self, x: Tensor) -> Tensor:
        """From (n, inp, h, w) to (n, out, ceil(h / 2), ceil(w / 2))."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class _Block(nn.Module):
    """Two 3x3 convolutions and the way around them."""

    def __init__(self, inp: int, out: int) -> None:
        """From `inp` channels to `out`; at half the height and width if they differ."""
        super().__init__()
        stride = 1 if inp == out else 2
        self.conv1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity() if inp == out else _PaddedShortcut(inp, out)

    def forward(self, x: Tensor) -> Tensor:
        """From (n, inp, h, w) to (n, out, h', w')."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """ResNet-20, 32, 44, 56 or 110 for small images, of 0.27, 0.46, 0.66, 0.85 or 1.7 million parameters.

    Three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels; the shortcuts between stages
    take every other pixel and pad channels with zeros (option A of the paper).

    Args:
        depth: number of layers with weights, 6 k + 2.
        classes: number of outputs.
        channels: of the images.

    Raises:
        ShapeError: `depth` is not 6 k + 2 with k >= 1.

    Notes:
        He, Zhang, Ren & Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.
        Tensor names: `conv1`, `bn1`, `layer{1,2,3}.{i}.{conv1,bn1,conv2,bn2}`, `linear`.

    Example:
        >>> sum(p.numel() for p in CifarResNet(20, classes=10).parameters())
        269722
    """

    def __init__(self, depth: int, *, classes: int, channels: int = 3) -> None:
        """Build it with random weights (He initialisation)."""
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ShapeError(
                f"a CIFAR ResNet of depth {depth}: the depth must be 6 k + 2, such as 20, 32, 56"
            )
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """From images (n, channels, h, w) to logits (n, classes)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(inp: int, out: int, blocks: int) -> nn.Sequential:
    """`blocks` blocks, the first of which changes the number of channels."""
    return nn.Sequential(*(_Block(inp if index == 0 else out, out) for index in range(blocks)))
