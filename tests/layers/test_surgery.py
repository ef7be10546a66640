from __future__ import annotations

import pytest
import torch
from torch import nn

from layers.sample_nets import ResNet, Tied
from tenfold.core.errors import PlanError, UnsupportedLayerError
from tenfold.layers.surgery import keep_reasons, replace_, shared_names


def test_replaced_in_place_and_only_there():
    net = ResNet(1, 4)
    before, new = dict(net.named_modules()), nn.Sequential(nn.Conv2d(8, 8, 1))
    replace_(net, "layer2.0.conv2", new)
    after = dict(net.named_modules())
    assert after["layer2.0.conv2"] is new
    kept = [name for name in before if after.get(name) is before[name]]
    assert len(kept) == len(before) - 1


def test_order_in_a_sequential_is_kept():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten())
    replace_(net, "0", nn.Identity())
    assert [type(m) for m in net] == [nn.Identity, nn.ReLU, nn.Flatten]


@pytest.mark.parametrize("name", ["first", "alias"])
def test_a_layer_under_two_names_stays_shared(name):
    net = Tied()
    new = nn.Linear(4, 4)
    replace_(net, name, new)
    assert net.first is new
    assert net.alias is new


@pytest.mark.parametrize("name", ["one.conv1", "two.conv1"])
def test_a_layer_in_a_shared_block_stays_shared(name):
    net = Tied()
    count = sum(p.numel() for p in net.parameters())
    replace_(net, name, nn.Conv2d(4, 4, 1))
    assert net.one is net.two
    assert sum(p.numel() for p in net.parameters()) == count - 9 * 16 + 20


def test_training_flag_is_taken_over():
    net = ResNet(1, 4).eval()
    new = nn.Sequential(nn.Dropout())
    replace_(net, "linear", new)
    assert not new.training
    assert not new[0].training


def test_unknown_name_names_the_near_ones():
    net = ResNet(1, 4)
    with pytest.raises(PlanError, match=r"no layer 'layer1\.0\.conv3'.*layer1\.0\.conv"):
        replace_(net, "layer1.0.conv3", nn.ReLU())


def test_the_root_cannot_be_replaced():
    with pytest.raises(UnsupportedLayerError, match=r"itself one layer \(Conv2d\).*wrap it"):
        replace_(nn.Conv2d(3, 4, 1), "", nn.ReLU())


def test_shared_names():
    assert shared_names(ResNet(1, 4)) == {}
    shared = shared_names(Tied())
    assert shared["first"] == ("alias",)
    assert shared["one"] == ("two",)
    assert shared["one.conv1"] == ("two.conv1",)


def test_tied_parameters_are_kept():
    reasons = keep_reasons(Tied())
    assert reasons == {
        "encode": "its weight is tied to decode.weight",
        "decode": "its weight is tied to encode.weight",
    }, "a module object that is shared is no reason"


def test_a_parameter_of_the_root_counts_as_an_owner():
    net = nn.Sequential(nn.Linear(3, 3))
    net.extra = net[0].weight
    assert keep_reasons(net) == {"0": "its weight is tied to extra"}


@pytest.mark.parametrize("wrap", [list, tuple, lambda m: {"k": m[0]}, lambda m: m[0]])
def test_a_layer_in_a_plain_attribute_is_kept(wrap):
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 3)), nn.Linear(3, 3))
    object.__setattr__(net[0], "steps", wrap([net[1]]))
    assert keep_reasons(net) == {"1": "the plain attribute 0.steps holds it as well"}


def test_replacing_all_layers_keeps_the_forward():
    net, x = ResNet(1, 4).eval(), torch.randn(2, 3, 8, 8)
    expected = net(x)
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Conv2d):
            replace_(net, name, nn.Sequential(module))
    assert torch.equal(net(x), expected)
