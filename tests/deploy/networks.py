"""Small networks that several tests, and processes started by tests, build alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHAPE = (3, 8, 8)


class Small(nn.Module):
    """Convolutions dense and as a chain, each before batch normalisation, a skip, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False, padding_mode="circular")
        self.norm1 = nn.BatchNorm2d(8)
        self.chain = nn.Sequential(
            nn.Conv2d(8, 4, 1, bias=False),
            nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
            nn.Conv2d(4, 8, 1),
        )
        self.norm2 = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.hidden = nn.Linear(8, 6, bias=False)
        self.norm3 = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 4)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.stem(image)))
        x = torch.relu(x + self.norm2(self.chain(x)))
        return self.head(self.norm3(self.hidden(self.drop(x.mean((2, 3))))))


def small() -> Small:
    """The network with weights and statistics that are all different from their defaults."""
    torch.manual_seed(0)
    model = Small()
    for norm in (model.norm1, model.norm2, model.norm3):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    return model


def images(count: int) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(1))
