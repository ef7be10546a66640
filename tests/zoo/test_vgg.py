from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tenfold.zoo.vgg import Vgg16Bn


def test_parameters_are_the_thirteen_convolutions_their_norms_and_one_linear_layer():
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    # weights and bias of a convolution, scale and shift of its norm
    convolutions = sum(9 * i * o + 3 * o for i, o in pairwise(widths))
    net = Vgg16Bn(classes=10)
    assert sum(p.numel() for p in net.parameters()) == convolutions + 512 * 10 + 10
    assert [m.out_channels for m in net.features if isinstance(m, nn.Conv2d)] == widths[1:]


def test_layers_are_counted_as_torchvision_counts_them():
    places = [place for place, m in enumerate(Vgg16Bn(classes=10).features) if isinstance(m, nn.Conv2d)]
    assert places == [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]


@pytest.mark.parametrize(("channels", "size"), [(3, (32, 32)), (1, (32, 32)), (3, (64, 40))])
def test_sizes_and_channels(channels, size):
    net = Vgg16Bn(classes=5, channels=channels).eval()
    images = torch.randn(2, channels, *size)
    with torch.inference_mode():
        out = net(images)
        assert out.shape == (2, 5)
        assert torch.equal(torch.fx.symbolic_trace(net)(images), out)


def test_every_pooling_halves():
    net = Vgg16Bn(classes=5).eval()
    with torch.inference_mode():
        assert net.features(torch.randn(1, 3, 64, 32)).shape == (1, 512, 2, 1)
