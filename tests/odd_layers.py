"""Layers on which compression tools crash or are silently wrong, each within a network of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["HALF", "ODD", "Around", "Shared", "around", "seeded"]


class Around(nn.Module):
    """Images (n, 3, h, w) -> the layer under test -> logits (n, 3)."""

    def __init__(self, layer: nn.Conv2d, *, stem: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, layer.in_channels, 1) if stem else nn.Identity()
        self.layer = layer
        self.head = nn.Linear(layer.out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.layer(torch.tanh(self.stem(x)))).mean((2, 3)))


class Shared(nn.Module):
    """One convolution under two names, called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.layer = nn.Conv2d(8, 8, 3, padding=1)
        self.again = self.layer
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.layer(torch.tanh(self.stem(x))))
        return self.head(torch.relu(self.again(torch.tanh(self.layer(x)))).mean((2, 3)))


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """What `make` builds from the global generator seeded with `seed`, which is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _conv(inp: int = 8, out: int = 12, kernel: int | tuple[int, int] = 3, **kwargs) -> nn.Conv2d:
    return nn.Conv2d(inp, out, kernel, **kwargs)


def _zero() -> nn.Conv2d:
    layer = _conv(padding=1)
    nn.init.zeros_(layer.weight)
    return layer


def _strided_memory() -> nn.Conv2d:
    layer = _conv(8, 8, padding=1)
    layer.weight = nn.Parameter(layer.weight.detach().permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0))
    assert not layer.weight.is_contiguous()
    return layer


_LAYERS: dict[str, Callable[[], nn.Conv2d]] = {
    "plain": _conv,
    "reflect": lambda: _conv(padding=1, padding_mode="reflect"),
    "circular": lambda: _conv(padding=(2, 1), padding_mode="circular"),
    "replicate": lambda: _conv(padding=(0, 1), padding_mode="replicate", bias=False),
    "same": lambda: _conv(kernel=(3, 5), padding="same"),
    "same reflect dilated": lambda: _conv(padding="same", padding_mode="reflect", dilation=2),
    "stride (2, 1)": lambda: _conv(stride=(2, 1), padding=(1, 0)),
    "dilation": lambda: _conv(dilation=(1, 2), padding=(1, 2)),
    "oblong kernel": lambda: _conv(kernel=(1, 3), padding=(0, 1), bias=False),
    "grouped": lambda: _conv(8, 16, padding=1, groups=2),
    "pointwise, stride and padding": lambda: _conv(16, 12, 1, stride=2, padding=1),
    "zero kernel": _zero,
    "non-contiguous": _strided_memory,
}

ODD: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda make=make: Around(make()) for name, make in _LAYERS.items()},
    "rgb": lambda: Around(_conv(3, 16, padding=1), stem=False),
    "shared": Shared,
}
"""Name -> maker of a float32 network for images of 8x8, whose module `layer` can be factorised."""

HALF = (torch.float16, torch.bfloat16, torch.float64)


def around(name: str) -> nn.Module:
    """The network of that name, always with the same weights, in evaluation mode."""
    return seeded(ODD[name]).eval()
