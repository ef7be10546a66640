"""A network of one's own, trained in plain PyTorch, compressed to a fifth: python examples/own_network.py."""

import torch
from torch import nn

import tenfold
from tenfold.train.batches import Augmentation


class Block(nn.Module):
    """A residual block with a grouped convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1, groups=2)
        self.two = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.two(self.one(x).relu())).relu()


torch.manual_seed(0)
data = tenfold.load_data("digits")
images = data.preprocessing.apply(data.train.images)
stem, head = nn.Conv2d(1, 48, 3, padding=1), [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10)]
model = nn.Sequential(stem, nn.ReLU(), Block(48), nn.MaxPool2d(2), Block(48), *head)
optimiser = torch.optim.Adam(model.parameters(), 2e-3)
for _ in range(20):  # epochs
    for batch in torch.randperm(len(images)).split(64):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), data.train.labels[batch]).backward()
        optimiser.step()

options = tenfold.Options(augmentation=Augmentation(padding=1, flip=False), workers=1)
small = tenfold.compress(model.eval(), data, budget=tenfold.Budget(params=0.2), options=options)
before, after = small.report.before, small.report.after
print(f"{before.params:,} -> {after.params:,} parameters")
print(f"{before.accuracy:.1f} -> {after.accuracy:.1f} % of the test set")
print("\n".join(f"{layer}: {choice or 'kept'}" for layer, choice in small.plan.items()))
