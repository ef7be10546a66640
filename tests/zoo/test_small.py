from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tenfold.data import load_data
from tenfold.zoo.small import SmallCnn


@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (1, (28, 28)), (3, (32, 32)), (3, (4, 4))])
def test_sizes_and_channels(channels, size):
    net = SmallCnn(classes=6, channels=channels).eval()
    images = torch.randn(2, channels, *size)
    assert net(images).shape == (2, 6)
    assert torch.equal(torch.fx.symbolic_trace(net)(images), net(images))


def test_about_a_hundred_thousand_parameters():
    assert 80_000 < sum(p.numel() for p in SmallCnn(classes=10).parameters()) < 120_000


def test_it_learns_digits_to_98_percent():
    torch.manual_seed(0)
    splits = load_data("digits")
    net = SmallCnn(classes=10, channels=1)
    epochs, batch = 12, 64
    steps = epochs * -(-len(splits.train) // batch)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    images = splits.preprocessing.apply(splits.train.images)
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(batch):
            loss = functional.cross_entropy(net(images[part]), splits.train.labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.inference_mode():
        right = net(splits.preprocessing.apply(splits.test.images)).argmax(1) == splits.test.labels
    assert right.float().mean() >= 0.98
