from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from tenfold.core.errors import RunError, UnsupportedLayerError
from tenfold.layers.leaf import LEAVES, build_leaf, describe_leaf, is_leaf

# Each argument differs from its default, so an argument that is lost shows.
SAMPLES = [
    *(getattr(nn, f"Conv{n}d")(4, 6, 3, 2, 1, 2, 2, bias=False, padding_mode="circular") for n in (1, 2, 3)),
    nn.Conv2d(4, 4, (3, 5), padding="same"),
    *(getattr(nn, f"ConvTranspose{n}d")(4, 6, 3, 2, 1, 1, 2, bias=False, dilation=2) for n in (1, 2, 3)),
    nn.Linear(3, 4),
    nn.Linear(3, 4, bias=False, dtype=torch.bfloat16),
    nn.Bilinear(2, 3, 4, bias=False),
    nn.Embedding(5, 3, padding_idx=1, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True),
    *(
        getattr(nn, f"BatchNorm{n}d")(4, 1e-3, 0.2, affine=False, track_running_stats=False)
        for n in (1, 2, 3)
    ),
    nn.BatchNorm2d(4, momentum=None, dtype=torch.float64),
    nn.BatchNorm2d(4, bias=False),
    nn.BatchNorm2d(4).half(),
    *(
        getattr(nn, f"InstanceNorm{n}d")(4, 1e-3, 0.2, affine=True, track_running_stats=True)
        for n in (1, 2, 3)
    ),
    nn.GroupNorm(2, 4, 1e-3, affine=False),
    nn.GroupNorm(2, 4),
    nn.LayerNorm((3, 4), 1e-3, bias=False),
    nn.LayerNorm(4, elementwise_affine=False),
    nn.RMSNorm(4, 1e-3, elementwise_affine=False),
    nn.LocalResponseNorm(3, 1e-3, 0.5, 2.0),
    nn.CELU(2.0, True),
    nn.ELU(2.0, True),
    nn.GELU("tanh"),
    nn.GLU(1),
    nn.Hardshrink(0.2),
    nn.Hardsigmoid(True),
    nn.Hardswish(True),
    nn.Hardtanh(-2.0, 3.0, True),
    nn.LeakyReLU(0.3, True),
    nn.LogSigmoid(),
    nn.LogSoftmax(1),
    nn.Mish(True),
    nn.PReLU(4, 0.1),
    nn.RReLU(0.2, 0.4, True),
    nn.ReLU(True),
    nn.ReLU6(True),
    nn.SELU(True),
    nn.SiLU(True),
    nn.Sigmoid(),
    nn.Softmax(1),
    nn.Softmax2d(),
    nn.Softmin(1),
    nn.Softplus(2.0, 10.0),
    nn.Softshrink(0.2),
    nn.Softsign(),
    nn.Tanh(),
    nn.Tanhshrink(),
    nn.Threshold(0.2, 0.1, True),
    *(getattr(nn, f"AvgPool{n}d")(3, 2, 1, True, False) for n in (1, 2, 3)),
    nn.AvgPool2d((3, 2), divisor_override=5),
    *(getattr(nn, f"MaxPool{n}d")(3, 2, 1, 2, True, True) for n in (1, 2, 3)),
    *(getattr(nn, f"LPPool{n}d")(1.5, 3, 2, True) for n in (1, 2, 3)),
    *(getattr(nn, f"AdaptiveAvgPool{n}d")(3) for n in (1, 2, 3)),
    nn.AdaptiveAvgPool2d((None, 2)),
    *(getattr(nn, f"AdaptiveMaxPool{n}d")(3, True) for n in (1, 2, 3)),
    *(getattr(nn, f"MaxUnpool{n}d")(3, 2, 1) for n in (1, 2, 3)),
    *(getattr(nn, f"Dropout{n}")(0.3, True) for n in ("", "1d", "2d", "3d")),
    nn.AlphaDropout(0.3, True),
    nn.FeatureAlphaDropout(0.3, True),
    *(getattr(nn, f"ConstantPad{n}d")(2, 0.5) for n in (1, 2, 3)),
    nn.ConstantPad2d((1, 2, 3, 4), float("-inf")),
    *(
        getattr(nn, f"{kind}Pad{n}d")(2)
        for kind in ("Zero", "Circular", "Reflection", "Replication")
        for n in (1, 2, 3)
    ),
    nn.Identity(3, some=1),
    nn.Flatten(2, 3),
    nn.Unflatten(1, (2, 2)),
    nn.Fold((4, 5), 2, 1, 1, 2),
    nn.Unfold(2, 2, 1, 2),
    nn.PixelShuffle(2),
    nn.PixelUnshuffle(2),
    nn.ChannelShuffle(2),
    nn.CosineSimilarity(2, 1e-3),
    nn.Upsample(scale_factor=(2, 3), mode="bicubic", align_corners=True),
    nn.Upsample((4, 5)),
    nn.UpsamplingNearest2d(size=(3, 4)),
    nn.UpsamplingBilinear2d(scale_factor=2),
]


@pytest.mark.parametrize("module", SAMPLES, ids=repr)
def test_built_again_it_is_the_same_layer(module):
    import json

    twin = build_leaf(json.loads(json.dumps(describe_leaf(module), allow_nan=False)))
    assert type(twin) is type(module)
    assert repr(twin) == repr(module)
    plain = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    assert {k: v for k, v in vars(twin).items() if not k.startswith("_")} == plain
    assert {k: (v.shape, v.dtype) for k, v in twin.state_dict().items()} == {
        k: (v.shape, v.dtype) for k, v in module.state_dict().items()
    }
    assert all(v.is_meta for v in twin.state_dict().values())


def test_every_leaf_has_a_sample():
    assert {type(module).__name__ for module in SAMPLES} == set(LEAVES)


def test_no_random_numbers_are_drawn():
    state = torch.get_rng_state()
    build_leaf(describe_leaf(nn.Identity()))
    module = nn.Conv2d(3, 4, 3)
    state = torch.get_rng_state()
    build_leaf(describe_leaf(module))
    assert torch.equal(torch.get_rng_state(), state)


class Own(nn.Conv2d):
    pass


def changed() -> nn.Module:
    conv = nn.Conv2d(3, 4, 3)
    conv.stride = (2, 2)
    conv.out_channels = 5
    return conv


def mixed() -> nn.Module:
    norm = nn.BatchNorm2d(4)
    norm.weight.data = norm.weight.data.double()
    return norm


def hooked() -> nn.Module:
    relu = nn.ReLU()
    relu.register_forward_hook(lambda _m, _a, y: y)
    return relu


REFUSED = {
    "Own is none of": lambda: Own(3, 4, 3),
    "LSTM is none of": lambda: nn.LSTM(3, 4),
    "Sequential is none of": nn.Sequential,
    "MultiheadAttention is none of": lambda: nn.MultiheadAttention(4, 2),
    "ParametrizedLinear is none of": lambda: parametrizations.weight_norm(nn.Linear(3, 4)),
    "its tensors, code that hangs on it": lambda: prune.l1_unstructured(nn.Linear(3, 4), "weight", 0.5),
    "changed after it was made (its tensors)": changed,
    "mixes torch.float32, torch.float64": mixed,
    "code that hangs on it": hooked,
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(UnsupportedLayerError) as caught:
        describe_leaf(REFUSED[message]())
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["Sequential", "DataParallel", "Module", "os.system", "LSTM", "__class__"])
def test_other_classes_are_refused(kind):
    with pytest.raises(RunError, match="refused"):
        build_leaf({"class": kind, "args": {}})


def test_is_leaf():
    assert is_leaf(nn.ReLU())
    assert not is_leaf(Own(3, 4, 3))
