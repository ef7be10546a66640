"""Small networks that the tests of `tenfold.layers` share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions and an option-A shortcut: slicing and zero channels."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.more = stride, (out - inp) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1 or self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        y += x
        return F.relu(y)


class ResNet(nn.Module):
    """The CIFAR ResNet of depth 6 * blocks + 2."""

    def __init__(self, blocks: int = 3, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width, width, 2 * width, 4 * width]
        for stage in (1, 2, 3):
            inp, out = widths[stage - 1], widths[stage]
            rest = [Block(out, out, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(Block(inp, out, 1 + (stage > 1)), *rest))
        self.linear = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def vgg() -> nn.Module:
    """Convolutions, pools and a head with dropout; one ReLU object shared by all."""
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        relu,
        nn.MaxPool2d(2, 2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        relu,
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, 10),
    )


class Many(nn.Module):
    """Several outputs, concatenation, interpolation, a transposed convolution, a chain, sizes, a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = nn.Sequential(
            nn.Conv2d(3, 4, (3, 1), padding=(1, 0), bias=False), nn.Conv2d(4, 6, (1, 3), padding=(0, 1))
        )
        self.down = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.scale = nn.Parameter(torch.ones(12, 1, 1))
        self.register_buffer("shift", torch.linspace(0, 1, 12).reshape(12, 1, 1))
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).reshape(3, 1, 1), persistent=False)
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> dict[str, Any]:
        first = self.chain(x - self.mean)
        low = F.gelu(self.down(first))
        both = torch.cat([first, self.up(low)], dim=1) * self.scale + self.shift
        if mask is not None:
            both = both * mask
        height = x.shape[2]
        total = height
        total += x.size(3)
        big = F.interpolate(low, size=x.shape[2:], mode="bilinear", align_corners=False)
        pair = (big / (total - height), both.flatten(1).to(torch.float64))
        return {"pair": pair, "list": [first, low.permute(0, 2, 3, 1).contiguous()], "max": low.amax((2, 3))}


class Tied(nn.Module):
    """A shared block, a layer under two names, and a weight that two layers own."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Block(4, 4, 1)
        self.two = self.one
        self.first = nn.Linear(4, 4)
        self.alias = self.first
        self.encode = nn.Linear(4, 4, bias=False)
        self.decode = nn.Linear(4, 4)
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(x)).mean((2, 3))
        return self.decode(torch.tanh(self.encode(self.alias(self.first(x)))))
