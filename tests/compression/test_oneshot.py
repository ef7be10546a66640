from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from layers.sample_nets import Many
from odd_layers import HALF, ODD, Around, around, seeded
from tenfold.algebra.chain import chain_kernel
from tenfold.compression.fit import fit_layer
from tenfold.compression.oneshot import apply_, decompose_model
from tenfold.compression.prepare import prepare
from tenfold.core.errors import NonFiniteError, PlanError, RankError
from tenfold.core.plan import Choice, Plan
from tenfold.layers.census import census
from tenfold.layers.chain import chain_spec, chain_weights, is_chain
from tenfold.layers.describe import read_spec
from tenfold.schemes.registry import get_scheme

CHOICES = (
    Choice("svd", (3,)),
    Choice("svd-mirrored", (3,)),
    Choice("tucker", (3, 2)),
    Choice("cp", (5,)),
    Choice("btd", (2, 2, 1)),
    Choice("tt", (3, 3, 3)),
    Choice("tt-tucker", (2, 3, 2)),
)
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def as_one_layer(net: nn.Module, original: nn.Module) -> nn.Module:
    """`original` with the kernel that the chain `layer` of `net` amounts to."""
    dense = copy.deepcopy(original)
    _, stages = chain_spec(net.layer)
    with torch.no_grad():
        dense.layer.weight.copy_(chain_kernel(stages, chain_weights(net.layer)))
    return dense


def numbers(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.scheme)
@pytest.mark.parametrize("name", ODD)
def test_the_network_answers_as_with_the_chains_kernel(name, choice):
    net = around(name).double()
    rank = get_scheme(choice.scheme).clip(read_spec(net.layer).group, choice.rank)
    choice = Choice(choice.scheme, rank)
    made = decompose_model(net, Plan({"layer": choice}), IMAGES.double())
    assert is_chain(made.layer)
    dense = as_one_layer(made, net)
    with torch.no_grad():
        answer, expected = made(IMAGES.double()), dense(IMAGES.double())
    # Sums of some hundred float64 products.
    torch.testing.assert_close(answer, expected, rtol=1e-11, atol=1e-11)
    if name != "zero kernel":
        assert (dense.layer.weight - net.layer.weight).norm() < net.layer.weight.norm()
        assert not torch.equal(expected, net(IMAGES.double()))


@pytest.mark.parametrize("name", ODD)
def test_interface_kept_and_original_untouched(name):
    net = around(name).train()
    net.head.eval()
    net.layer.eval()
    before, flags = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    made = decompose_model(net, Plan({"layer": Choice("svd", (2,)), "head": None}), IMAGES)
    assert [m.training for m in net.modules()] == flags
    assert list(net.state_dict()) == list(before)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert isinstance(net.layer, nn.Conv2d)
    assert (made.training, made.layer.training, made.head.training) == (True, False, False)
    assert not any(stage.training for stage in made.layer)
    others = {key for key in before if not key.startswith(("layer.", "again."))}
    kept = {key for key in made.state_dict() if not key.startswith(("layer.", "again."))}
    assert others == kept
    for key in others:
        assert torch.equal(made.state_dict()[key], before[key])
        assert made.state_dict()[key].data_ptr() != net.state_dict()[key].data_ptr()
    assert made(IMAGES).shape == net(IMAGES).shape
    if net.layer.bias is not None:
        assert torch.equal(made.layer[-1].bias, net.layer.bias)


def test_shared_modules_stay_shared_and_do_not_grow():
    net = around("shared")
    made = decompose_model(net, Plan({"layer": Choice("svd", (2,))}), IMAGES)
    assert made.layer is made.again
    assert numbers(made) == numbers(net) - net.layer.weight.numel() + 2 * (8 * 9 + 8)
    with pytest.raises(PlanError, match="'again' is no layer"):
        decompose_model(net, Plan({"again": Choice("svd", (2,))}), IMAGES)


def test_tied_weights_are_refused_and_not_untied():
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)))
    net[1].weight = net[0].weight
    with pytest.raises(PlanError, match="'0' is no layer that can be factorised"):
        decompose_model(net, Plan({"0": Choice("svd", (1,))}), IMAGES)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_dtype_is_kept(dtype):
    net = around("plain").to(dtype)
    exact = decompose_model(around("plain").to(dtype).double(), PLAN, IMAGES.double())
    made = decompose_model(net, PLAN, IMAGES.to(dtype))
    assert {p.dtype for p in made.parameters()} == {dtype}
    for stage, reference in zip(made.layer, exact.layer, strict=True):
        # The fit is made in float64 and cast once, at the end.
        assert torch.equal(stage.weight, reference.weight.to(dtype))
    assert made(IMAGES.to(dtype)).dtype == dtype


PLAN = Plan({"layer": Choice("btd", (2, 3, 2))})


def test_frozen_layers_stay_frozen():
    net = around("plain")
    net.layer.requires_grad_(False)
    made = decompose_model(net, PLAN, IMAGES)
    assert not any(p.requires_grad for p in made.layer.parameters())
    assert all(p.requires_grad for p in made.head.parameters())


def test_a_depthwise_layer_is_kept_and_asking_for_it_refused():
    net = seeded(lambda: Around(nn.Conv2d(8, 8, 3, groups=8)))
    made = decompose_model(net, Plan({"layer": None, "head": Choice("svd", (1,))}), IMAGES)
    assert torch.equal(made.layer.weight, net.layer.weight)
    with pytest.raises(PlanError, match="'layer' is no layer that can be factorised"):
        decompose_model(net, Plan({"layer": Choice("svd", (1,))}), IMAGES)


@pytest.mark.parametrize("tensor", ["layer.weight", "head.bias"])
def test_one_nan_is_refused_by_name(tensor):
    net = around("plain")
    with torch.no_grad():
        net.get_parameter(tensor).flatten()[1] = float("nan")
    with pytest.raises(NonFiniteError, match=tensor):
        decompose_model(net, PLAN, IMAGES)


def test_a_rank_above_the_dimension_is_refused_by_name():
    with pytest.raises(RankError, match=r"layer: svd rank \(13,\) .* is \(12,\)"):
        decompose_model(around("plain"), Plan({"layer": Choice("svd", (13,))}), IMAGES)


def test_a_network_of_several_outputs_and_transposed_convolutions():
    net = seeded(Many).eval()
    made = decompose_model(net, Plan({"down": Choice("svd", (2,))}), IMAGES)
    assert isinstance(made.up, nn.ConvTranspose2d)
    assert torch.equal(made.up.weight, net.up.weight)
    one, other = net(IMAGES), made(IMAGES)
    assert one.keys() == other.keys()
    assert torch.equal(one["list"][0], other["list"][0])  # before the layer that changed
    assert one["max"].shape == other["max"].shape
    assert not torch.equal(one["max"], other["max"])
    with pytest.raises(PlanError, match="'up' is no layer that can be factorised"):
        decompose_model(net, Plan({"up": Choice("svd", (2,))}), IMAGES)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 5)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.layer(x + y)


def test_a_network_of_two_inputs():
    net, given = seeded(TwoInputs), (torch.ones(2, 6), torch.ones(2, 6))
    made = decompose_model(net, Plan({"layer": Choice("svd", (5,))}), given)
    torch.testing.assert_close(made(*given), net(*given))  # full rank
    assert [type(stage) for stage in made.layer] == [nn.Linear, nn.Linear]


def test_apply_puts_every_fit_in_its_place():
    net = around("plain")
    layers = {layer.name: layer for layer in prepare(net, census(net, IMAGES), {}, metric="plain")}
    fits = {name: fit_layer(layers[name], Choice("svd", (2,))) for name in ("head", "layer")}
    apply_(net, fits)
    for name, fitted in fits.items():
        for stage, weight in zip(chain_weights(net.get_submodule(name)), fitted.weights, strict=True):
            assert torch.equal(stage, weight.float())
    assert isinstance(net.stem, nn.Conv2d)


def test_a_plan_that_keeps_all_copies():
    net = around("plain")
    made = decompose_model(net, Plan({}), IMAGES)
    assert torch.equal(made(IMAGES), net(IMAGES))
    assert made.layer is not net.layer
