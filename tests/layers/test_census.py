from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from layers.sample_nets import Many, ResNet, Tied, vgg
from tenfold.core.errors import NonFiniteError, PlanError, ShapeError, UnsupportedLayerError
from tenfold.core.shapes import dense_macs, dense_params
from tenfold.layers.census import census, check_finite


@pytest.mark.parametrize("batch", [1, 3])
def test_resnet20_has_the_known_figures(batch):
    counted = census(ResNet(), torch.zeros(batch, 3, 32, 32))
    assert counted.params == 269_722
    assert counted.macs == 40_551_040
    assert len(counted.layers) == len(counted.factorisable) == 20
    assert counted.layer("layer2.0.conv1").sizes == ((32, 32),)
    assert counted.layer("layer2.0.conv2").sizes == ((16, 16),)
    assert counted.layer("linear").sizes == ((1, 1),)
    assert [layer.kind for layer in counted.layers][-2:] == ["Conv2d", "Linear"]


@pytest.mark.parametrize("net", [ResNet(1, 4), vgg(), Many(), Tied()])
def test_counted_is_what_the_specs_say(net):
    x = torch.zeros(2, 4 if isinstance(net, Tied) else 3, 12, 16)
    for layer in census(net, x).factorisable:
        assert layer.macs == sum(dense_macs(layer.spec, size) for size in layer.sizes)
        assert layer.params == dense_params(layer.spec)


def test_flop_counter_of_torch_agrees():
    from torch.utils.flop_counter import FlopCounterMode

    for net in (ResNet(1, 4), Many()):
        x = torch.zeros(1, 3, 12, 16)
        with FlopCounterMode(display=False) as counter:
            net.eval()(x)
        assert census(net, x).macs == counter.get_total_flops() // 2


class Kinds(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(2, 4, 3, groups=2)
        self.three = nn.Conv3d(1, 2, (1, 2, 3))
        self.up = nn.ConvTranspose2d(2, 6, 3, stride=2, groups=2)

    def forward(self, x):  # x (batch, 2, 5, 7)
        return self.one(x.flatten(2)), self.three(x[:, None]), self.up(input=x)


def test_kinds_that_are_counted_and_kept():
    counted = census(Kinds(), torch.zeros(2, 2, 5, 7))
    one, three, up = counted.layers
    assert (one.macs, one.sizes, one.spec) == (33 * 4 * 1 * 3, ((1, 35),), None)
    assert (three.macs, three.sizes) == (2 * (2 * 4 * 5) * 6, ((10, 7),))
    assert (up.macs, up.sizes) == (2 * 5 * 7 * 3 * 9, ((5, 7),))
    assert {layer.reason.split(" (")[0] for layer in counted.layers} == {"kept: not a 2d convolution"}
    assert counted.factorisable == ()


class Calls(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.tokens = nn.Linear(3, 2)
        self.never = nn.Linear(3, 2)
        self.direct = nn.Linear(6, 6)

    def forward(self, x):  # x (batch, 3, 8, 8)
        small = self.conv(F.avg_pool2d(self.conv(x), 2))
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 4, 4)
        self.conv(patches)
        F.linear(x.flatten(1)[:, :6], self.direct.weight)
        return self.tokens(small.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("batch", [1, 3])
def test_several_sizes_positions_and_layers_never_called(batch):
    counted = census(Calls(), torch.zeros(batch, 3, 8, 8))
    conv = counted.layer("conv")
    assert conv.sizes == ((8, 8), (4, 4), *[(4, 4)] * 4)
    assert conv.macs == 81 * (64 + 16 + 64)
    assert counted.layer("tokens").sizes == ((1, 16),)
    assert counted.layer("tokens").macs == 16 * 6
    for name in ("never", "direct"):
        assert counted.layer(name).reason == "kept: the forward pass never calls it"
        assert (counted.layer(name).sizes, counted.layer(name).macs) == ((), 0)


def test_shared_layers_count_once_and_tied_ones_are_kept():
    counted = census(Tied(), torch.zeros(1, 4, 4, 4))
    assert [layer.name for layer in counted.layers] == ["one.conv1", "one.conv2", "first", "encode", "decode"]
    assert counted.layer("two.conv1") is counted.layer("one.conv1")
    assert counted.layer("one.conv1").aliases == ("two.conv1",)
    assert counted.layer("one.conv1").macs == 2 * 16 * 9 * 16
    assert counted.layer("first").sizes == ((1, 1), (1, 1))
    assert counted.layer("encode").reason == "kept: its weight is tied to decode.weight"
    assert counted.params == 2 * 144 + 2 * 8 + (16 + 4) + 16 + 4
    assert counted.layer("first").reason == ""


def test_model_is_left_as_it_was():
    net = vgg().train()
    net[1].eval()
    flags = [m.training for m in net.modules()]
    state = {k: v.clone() for k, v in net.state_dict().items()}
    census(net, torch.randn(2, 3, 8, 8))
    assert [m.training for m in net.modules()] == flags
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_an_example_that_does_not_fit_leaves_nothing_behind():
    net = vgg().train()
    with pytest.raises(ShapeError, match=r"input of shape \(1, 1, 8, 8\).*expected input"):
        census(net, torch.zeros(2, 1, 8, 8))
    assert all(m.training for m in net.modules())
    assert not any(m._forward_hooks for m in net.modules())


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, x, y, scale):
        return self.a(x) * scale + self.b(y)


def test_several_inputs():
    counted = census(Two(), (torch.zeros(6, 3), torch.zeros(6, 5), torch.tensor(2.0)))
    assert counted.macs == 12 + 20
    with pytest.raises(ShapeError, match="no image"):
        census(Two(), ())
    with pytest.raises(ShapeError, match="no image"):
        census(nn.Linear(3, 4), torch.zeros(0, 3))


def test_reasons():
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        net[3].weight[0, 1] = float("nan")
    counted = census(net, torch.zeros(1, 4, 3, 3))
    reasons = [layer.reason for layer in counted.layers]
    assert reasons == [
        "kept: depthwise (4 groups of 1 input channels)",
        "",
        "kept: NaN or infinite numbers in its weight",
    ]
    assert counted.layers[0].spec.kernel == (3, 3)
    assert [layer.name for layer in counted.factorisable] == ["1"]
    assert "wrap it in nn.Sequential" in census(nn.Linear(2, 2), torch.zeros(1, 2)).layer("").reason


def test_lazy_layers_are_refused_before_the_forward_changes_them():
    net = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(UnsupportedLayerError, match=r"0\.weight is not initialised"):
        census(net, torch.zeros(1, 3))
    assert isinstance(net[0], nn.LazyLinear)


def test_unknown_layer():
    with pytest.raises(PlanError, match="nearest is linear"):
        census(ResNet(1, 4), torch.zeros(1, 3, 8, 8)).layer("linaer")


def test_frozen():
    counted = census(nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        counted.layers[0].macs = 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["layer1.0.conv2.weight", "bn1.running_var"])
def test_check_finite(name, value):
    net = ResNet(1, 4)
    check_finite(net)
    net.state_dict()[name].view(-1)[1] = value
    with pytest.raises(NonFiniteError, match=rf"^{name}: 1 of .* numbers are NaN or infinite"):
        check_finite(net)
