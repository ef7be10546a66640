"""What steps the weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tenfold.train.optimisers import MuonAndSgd, optimiser, orthogonal, pace, sgd

SETTINGS = {"rate": 0.1, "momentum": 0.9, "weight_decay": 0.0}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 4, 5))


def stepped(net: nn.Module, optimiser, steps: int = 1, first: int = 0) -> None:
    for step in range(first, first + steps):
        images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        net(images).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("place", [0, 3])
def test_a_weight_goes_along_the_orthogonal_matrix_nearest_to_its_gradient(layout, place):
    """U V^T of the gradient, whose singular values Newton-Schulz leaves between 0.6 and 1.3."""
    net = network().to(memory_format=layout)
    weight = net[place].weight
    before = weight.detach().clone()
    stepped(net, MuonAndSgd(net.parameters(), **SETTINGS))
    step, slope = (before - weight.detach()).flatten(1), weight.grad.flatten(1)
    u, _, v = torch.linalg.svd(slope, full_matrices=False)
    lengths = u.T @ step @ v.T / 0.01
    assert float(lengths.diagonal().min()) > 0.6
    assert float(lengths.diagonal().max()) < 1.3
    off = lengths - torch.diag(lengths.diagonal())
    # What float32 rounds off the least singular value grows with it, 3.4 times in each of five steps.
    assert float(off.abs().max()) < 3.4445**5 * torch.finfo(torch.float32).eps * 10


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (1, 5), (6, 6)])
def test_gathered_polynomials_are_those_of_newton_schulz(shape):
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = matrix / matrix.norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    assert torch.allclose(orthogonal(matrix), x, rtol=0, atol=1e-9)
    assert not orthogonal(torch.zeros(shape)).any()


def test_matrices_go_as_those_of_torch():
    """Which rounds to bfloat16: 8 bits, and fifteen products follow one another."""
    weight = nn.Parameter(torch.randn(9, 4, generator=torch.Generator().manual_seed(1)))
    other = nn.Parameter(weight.detach().clone())
    ours = MuonAndSgd([weight], rate=0.1, momentum=0.9, weight_decay=0.5)
    theirs = torch.optim.Muon([other], lr=0.01, weight_decay=0.5)
    for step in range(3):
        weight.grad = torch.randn(9, 4, generator=torch.Generator().manual_seed(2 + step))
        other.grad = weight.grad.clone()
        ours.step()
        theirs.step()
    assert float((weight - other).detach().abs().max()) < 3 * 0.01 * 1.5 * 15 / 256


def test_half_precision_is_stepped_in_float32():
    """The Gram matrix of five steps would be noise in bfloat16."""
    rough = nn.Parameter(torch.randn(9, 4, generator=torch.Generator().manual_seed(1)).bfloat16())
    exact = nn.Parameter(rough.detach().float())
    for weight in (rough, exact):
        slope = torch.randn(9, 4, generator=torch.Generator().manual_seed(2)).bfloat16()
        weight.grad = slope.to(weight.dtype)
        MuonAndSgd([weight], **SETTINGS).step()
    assert torch.equal(rough, exact.bfloat16())


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_biases_and_scales_go_by_sgd_and_do_not_decay(decay):
    one, other = network(), network()
    stepped(one, MuonAndSgd(one.parameters(), **{**SETTINGS, "weight_decay": decay}))
    stepped(other, sgd(other.parameters(), **SETTINGS))
    for place in (0, 1, 3):
        assert torch.equal(one[place].bias, other[place].bias)
        assert not torch.equal(one[place].weight, other[place].weight) or place == 1
    assert torch.equal(one[1].weight, other[1].weight)


def test_what_is_kept_goes_on_with_the_same_bits():
    whole, part = network(), network()
    stepped(whole, MuonAndSgd(whole.parameters(), **SETTINGS), steps=4)
    optimiser = MuonAndSgd(part.parameters(), **SETTINGS)
    stepped(part, optimiser, steps=2)
    kept = copy.deepcopy(optimiser.state_dict())
    resumed = copy.deepcopy(part)
    again = MuonAndSgd(resumed.parameters(), **SETTINGS)
    again.load_state_dict(kept)
    stepped(resumed, again, steps=2, first=2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_rate_of_the_group_is_that_of_the_step():
    one, other = network(), network()
    slow = MuonAndSgd(one.parameters(), **SETTINGS)
    slow.param_groups[0]["lr"] = 0.02
    stepped(one, slow)
    stepped(other, MuonAndSgd(other.parameters(), **{**SETTINGS, "rate": 0.02}))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("name", "settled"), [("sgd", 80), ("muon", 200)])
def test_the_pace_is_how_far_a_weight_goes_along_a_gradient_that_stays(name, settled):
    """Of a matrix with one row, whose orthogonal part is its direction; after the momentum has settled."""
    weight = nn.Parameter(torch.zeros(1, 4))
    slope = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    by = optimiser(name, [weight], rate=0.5, momentum=0.9, weight_decay=0.0)
    for step in range(settled + 50):
        if step == settled:
            before = weight.detach().clone()
        weight.grad = slope.clone()
        by.step()
    gone = float((before - weight.detach())[0, 0]) / 50
    # Newton-Schulz leaves a length between 0.6 and 1.3; (0.9)^80 of SGD's is missing.
    near = {"sgd": 1e-3, "muon": 0.4}[name]
    assert gone == pytest.approx(0.5 * pace(name, 0.9), rel=near)
