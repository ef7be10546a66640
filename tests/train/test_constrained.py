from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from tenfold.compression.lc import Penalty
from tenfold.core.names import OptimiserName
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.train.batches import Augmentation
from tenfold.train.constrained import Stretch, kernels_of, learn_, neutral_mu, stretch_rates
from tenfold.train.loop import Ended, Step
from tenfold.train.optimisers import pace
from tenfold.train.running import Running
from tenfold.train.schedules import rates
from tenfold.train.supervised import Training

STILL = Augmentation(0, flip=False)
GREY = Preprocessing((0.0,), (1.0,))
PLAIN = Training(batch_size=6, momentum=0.0, weight_decay=0.0, form="chain", precision="float32")


def data() -> Dataset:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (12, 1, 4, 4), generator=draw).byte()
    return Dataset(images, torch.arange(12) % 3, ("a", "b", "c"))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


def steps(net: nn.Module, stretch: Stretch, settings: Training = PLAIN) -> list[Step]:
    rows = learn_(
        net, data(), GREY, settings=settings, augmentation=STILL, stretch=stretch, running=Running(3)
    )
    *made, ended = rows
    assert isinstance(ended, Ended)
    return made


def test_one_step_goes_down_the_loss_then_as_far_down_the_penalty() -> None:
    """w = argmin mu/2 ||w - c||^2 + ||w - u||^2 / (2 rate), with u one step down the loss."""
    net, images = network(), data()
    centre = torch.full((2, 1, 3, 3), 0.2)
    reference = network()
    logits = reference(GREY.apply(images.images))
    loss = functional.cross_entropy(logits, images.labels)
    loss.backward()
    (made,) = steps(net, Stretch([0.1], 0, Penalty(7.0, {"0": centre})), replace(PLAIN, batch_size=12))
    for own, other in zip(net.parameters(), reference.parameters(), strict=True):
        wanted = other.detach() - 0.1 * other.grad
        if other is reference[0].weight:
            wanted = (7.0 * centre + wanted / 0.1) / (7.0 + 1 / 0.1)
        assert torch.allclose(own, wanted, atol=1e-6)
    assert made.loss == pytest.approx(float(loss.detach()), rel=1e-5)  # without the penalty
    pull = 7.0 / 2 * (network()[0].weight - centre).square().sum()
    assert made.penalty == pytest.approx(float(pull.detach()), rel=1e-5)


def test_at_rest_the_gradients_of_loss_and_penalty_cancel() -> None:
    """With momentum, too: each gradient counts ten times, and so does the pull."""
    torch.manual_seed(0)
    net, images = nn.Sequential(nn.Conv2d(1, 3, 4, bias=False), nn.Flatten()), data()
    centre = torch.full((3, 1, 4, 4), 0.2)
    whole = replace(PLAIN, batch_size=12, momentum=0.9)
    steps(net, Stretch([0.01] * 300, 0, Penalty(2.0, {"0": centre})), whole)
    net.zero_grad()
    functional.cross_entropy(net(GREY.apply(images.images)), images.labels).backward()
    gradient, pull = net[0].weight.grad, 2.0 * (net[0].weight.detach() - centre)
    assert float((gradient + pull).norm()) < 1e-4 * float(gradient.norm())


def test_at_large_mu_kernels_go_to_their_centres() -> None:
    net, centre = network(), torch.full((2, 1, 3, 3), 0.2, dtype=torch.float64)
    steps(net, Stretch([0.1] * 30, 0, Penalty(200.0, {"0": centre})))
    assert float((net[0].weight - centre).detach().abs().max()) < 0.02
    assert float((network()[0].weight - centre).detach().abs().max()) > 0.1


@pytest.mark.parametrize("by", ["sgd", "muon"])
def test_the_neutral_mu_leaves_one_part_in_e_of_a_distance(by: OptimiserName) -> None:
    """Of kernels that the loss does not see."""
    net, centre, rates = network(), torch.full((2, 1, 3, 3), 0.2), [0.01] * 300
    torch.nn.init.constant_(net[0].bias, -1e3)  # all that the convolution gives is cut off
    before = float((net[0].weight - centre).detach().norm())
    penalty = Penalty(neutral_mu([rates], pace(by, 0.9)), {"0": centre})
    steps(net, Stretch(rates, 0, penalty), replace(PLAIN, momentum=0.9, optimiser=by))
    after = float((net[0].weight - centre).detach().norm())
    # (1 + 1/300)^-300 is above 1/e by 1/600 of it.
    assert after / before == pytest.approx(math.exp(-1), rel=1 / 500)


def test_each_stretch_sees_other_images() -> None:
    later = steps(network(), Stretch([1e-9] * 2, 2, Penalty(0.0, {})))
    first = steps(network(), Stretch([1e-9] * 4, 0, Penalty(0.0, {})))
    assert [row.loss for row in later] == pytest.approx([row.loss for row in first[2:]], rel=1e-5)
    assert [row.loss for row in later] != pytest.approx([row.loss for row in first[:2]], rel=1e-5)


@pytest.mark.parametrize("warmed", ["one-cycle", "constant"])
@pytest.mark.parametrize("schedule", ["exp-cyclic", "cosine-cyclic", "one-cycle", "step"])
def test_stretches_make_one_schedule_after_that_of_the_warm_up(schedule: str, warmed: str) -> None:
    settings = Training(rate=0.2, schedule=schedule)
    made = stretch_rates(settings, warm_up=20, warmed=warmed, stretch=10, stretches=3)
    assert [len(part) for part in made] == [20, 10, 10, 10]
    assert made[0] == rates(warmed, peak=0.2, steps=20)
    every = rates(schedule, peak=0.2, steps=30, cycles=3, decayed=0.5)
    assert tuple(rate for part in made[1:] for rate in part) == every


@pytest.mark.parametrize(("stretches", "lengths"), [(2, [0, 10, 10]), (0, [0])])
def test_without_a_warm_up_it_has_no_step(stretches: int, lengths: list[int]) -> None:
    settings = Training(rate=0.2, schedule="exp-cyclic")
    made = stretch_rates(settings, warm_up=0, warmed="one-cycle", stretch=10, stretches=stretches)
    assert [len(part) for part in made] == lengths


def test_the_neutral_mu_is_that_of_the_mean_stretch() -> None:
    """Under one cycle over all of them the rates of the first are next to nothing."""
    assert neutral_mu([[0.0, 0.01], [0.3, 0.09]], pace=2.0) == pytest.approx(1 / (2.0 * 0.2))


def test_kernels_are_the_networks_own() -> None:
    net = network()
    found = kernels_of(net, ["0", "3"])
    assert found["0"] is net[0].weight
    assert found["3"] is net[3].weight
    assert math.prod(found["3"].shape) == 24
