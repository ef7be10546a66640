from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from tenfold.core.errors import UnsupportedLayerError
from tenfold.core.shapes import ConvSpec
from tenfold.layers.describe import describe, has_hooks, read_spec


def test_every_setting_of_a_convolution_is_read():
    conv = nn.Conv2d(6, 12, (3, 5), (2, 1), (1, 4), (1, 2), groups=3, padding_mode="circular")
    expected = ConvSpec(12, 6, (3, 5), (2, 1), (1, 4), (1, 2), 3, "circular", bias=True)
    assert describe(conv) == expected
    assert describe(conv).shape == tuple(conv.weight.shape)


def test_padding_by_name():
    assert describe(nn.Conv2d(2, 2, 3, padding="valid")).padding == (0, 0)
    assert describe(nn.Conv2d(2, 2, 4, padding="same")).padding == "same"


def test_linear():
    assert describe(nn.Linear(5, 7, bias=False)) == ConvSpec(7, 5, linear=True)


class OwnForward(nn.Conv2d):
    def forward(self, input):
        return super().forward(input) * 2


class OnlyOwnInit(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 4, 3)


def hooked() -> nn.Module:
    conv = nn.Conv2d(3, 4, 3)
    conv.register_forward_hook(lambda _m, _a, out: out + 1)
    return conv


def patched() -> nn.Module:
    linear = nn.Linear(3, 4)
    linear.forward = lambda x: x
    return linear


def empty() -> nn.Module:
    linear = nn.Linear(3, 4)
    linear.weight = nn.Parameter(torch.empty(0, 3))
    return linear


KEPT = {
    "not a 2d convolution (Conv1d)": lambda: nn.Conv1d(3, 4, 3),
    "not a 2d convolution (Conv3d)": lambda: nn.Conv3d(3, 4, 3),
    "not a 2d convolution (ConvTranspose2d)": lambda: nn.ConvTranspose2d(3, 4, 3),
    "not a 2d convolution or linear layer (BatchNorm2d)": lambda: nn.BatchNorm2d(3),
    "depthwise (4 groups of 1 input channels)": lambda: nn.Conv2d(4, 8, 3, groups=4),
    "depthwise (4 groups of 2 input channels)": lambda: nn.Conv2d(8, 4, 3, groups=4),
    "parametrised": lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
    "computed": lambda: prune.l1_unstructured(nn.Linear(3, 4), "weight", 0.5),
    "lazy": lambda: nn.LazyConv2d(4, 3),
    "lazy layer": lambda: nn.LazyLinear(4),
    "OwnForward has a forward of its own": lambda: OwnForward(3, 4, 3),
    "Linear has a forward of its own": patched,
    "forward hooks": hooked,
    "attention reads its weight": lambda: nn.MultiheadAttention(4, 2).out_proj,
    "torch.complex64, not floating": lambda: nn.Linear(3, 4, dtype=torch.complex64),
    "empty": empty,
}


@pytest.mark.parametrize("reason", KEPT)
def test_kept_with_reason(reason):
    with pytest.raises(UnsupportedLayerError) as caught:
        describe(KEPT[reason]())
    assert str(caught.value).startswith("kept: ")
    assert reason in str(caught.value)


def test_what_only_looks_special_is_not_kept():
    assert describe(nn.Conv2d(1, 16, 3)).inp == 1, "a grey image is not depthwise"
    assert describe(nn.Linear(64, 1)).out == 1
    assert describe(nn.Conv2d(8, 8, 3, groups=4)).group.inp == 2
    assert describe(OnlyOwnInit()).kernel == (3, 3)
    assert describe(nn.Conv2d(3, 4, 3, dtype=torch.bfloat16)).out == 4


def test_depthwise_is_read_although_it_is_kept():
    assert read_spec(nn.Conv2d(4, 8, 3, groups=4)).shape == (8, 1, 3, 3)


def test_has_hooks():
    assert has_hooks(hooked())
    assert not has_hooks(nn.ReLU())
    relu = nn.ReLU()
    relu.register_forward_pre_hook(lambda _m, _a: None)
    assert has_hooks(relu)
