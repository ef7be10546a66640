from __future__ import annotations

import pytest
import torch
from torch import nn

from odd_layers import seeded
from tenfold.compression.fit import fit_plan
from tenfold.compression.prepare import prepare
from tenfold.compression.rises import measured_rises
from tenfold.core.plan import Choice, Plan
from tenfold.layers.census import census

IMAGES = torch.randn(20, 3, 6, 6, generator=torch.Generator().manual_seed(0))
PLAN = Plan({"0": Choice("svd", (2,)), "4": Choice("svd", (2,))})


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5))


def test_the_last_layer_costs_what_its_error_does_to_the_logits() -> None:
    net = seeded(network).eval()
    fits = fit_plan(prepare(net, census(net, IMAGES[:1]), {}, metric="plain"), PLAN)
    found = measured_rises(net, fits, IMAGES)
    first, last = fits["4"].weights
    with torch.no_grad():
        change = net[4].weight.double() - last[:, :, 0, 0] @ first[:, :, 0, 0]
        moved = net[:4](IMAGES).double() @ change.T
    moved = moved - moved.mean(1, keepdim=True)  # what all classes gain alike costs nothing
    assert found["4"] == pytest.approx(0.5 * float(moved.square().sum()) / 20, rel=1e-5)  # float32 kernels
    assert list(found) == ["0", "4"]
    assert found["0"] > 0


def test_the_network_is_left_as_it_was() -> None:
    net = seeded(network).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fits = fit_plan(prepare(net, census(net, IMAGES[:1]), {}, metric="plain"), PLAN)
    measured_rises(net, fits, IMAGES)
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_perfect_chain_costs_nothing() -> None:
    net = seeded(network).eval()
    full = Plan({"4": Choice("svd", (5,))})
    fits = fit_plan(prepare(net, census(net, IMAGES[:1]), {}, metric="plain"), full)
    assert measured_rises(net, fits, IMAGES)["4"] < 1e-10  # of logits of about 1: float32 rounding, squared
