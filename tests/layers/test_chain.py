from __future__ import annotations

import copy
from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tenfold.core import shapes
from tenfold.core.errors import ShapeError, UnsupportedLayerError
from tenfold.core.shapes import ConvSpec, Stage
from tenfold.layers.chain import build_chain, chain_spec, chain_weights, is_chain
from tenfold.layers.describe import read_spec

MODES = ("zeros", "reflect", "replicate", "circular")


def dense(weight: Tensor, groups: int) -> Tensor:
    """A grouped kernel with its zeros written out."""
    out, inp = weight.shape[0] // groups, weight.shape[1]
    full = weight.new_zeros(out * groups, inp * groups, *weight.shape[2:])
    for g in range(groups):
        full[g * out : (g + 1) * out, g * inp : (g + 1) * inp] = weight[g * out : (g + 1) * out]
    return full


def composite(stages: tuple[Stage, ...], weights: tuple[Tensor, ...]) -> Tensor:
    """The kernel of a chain, offset by offset: no convolution is used."""
    total = dense(weights[0], stages[0].groups)
    for stage, weight in zip(stages[1:], weights[1:], strict=True):
        after = dense(weight, stage.groups)
        (a, b), (c, d) = total.shape[2:], after.shape[2:]
        out = total.new_zeros(after.shape[0], total.shape[1], a + c - 1, b + d - 1)
        for i, j, k, m in product(range(a), range(b), range(c), range(d)):
            out[:, :, i + k, j + m] += after[:, :, k, m] @ total[:, :, i, j]
        total = out
    return total


def original(spec: ConvSpec, kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """torch's own layer with the composite kernel."""
    conv = nn.Conv2d(
        spec.inp,
        spec.out,
        spec.kernel,
        spec.stride,
        spec.padding,
        spec.dilation,
        spec.groups,
        bias=spec.bias,
        padding_mode=spec.padding_mode,
        dtype=torch.float64,
    )
    rows, columns = spec.out // spec.groups, spec.inp // spec.groups
    parts = [kernel[g * rows : (g + 1) * rows, g * columns : (g + 1) * columns] for g in range(spec.groups)]
    conv.weight = nn.Parameter(torch.cat(parts))
    if bias is not None:
        conv.bias = nn.Parameter(bias)
    return conv


SMALL = st.integers(1, 3)
PAIRS = st.tuples(SMALL, SMALL)


@st.composite
def cases(draw) -> tuple[ConvSpec, tuple[Stage, ...], tuple[int, int]]:
    """A layer, a chain for it, and an input size that fits."""
    kernel, dilation, groups = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(PAIRS), draw(SMALL)
    mode = draw(st.sampled_from(MODES))
    same = draw(st.booleans())
    stride = (1, 1) if same else draw(PAIRS)
    padding = "same" if same else draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    inp, out, ranks = draw(SMALL), draw(SMALL), draw(st.lists(SMALL, min_size=4, max_size=4))
    a, b, c, d = ranks
    chains = {
        "whole": (Stage(out, inp, kernel),),
        "svd": (Stage(a, inp, kernel), Stage(out, a)),
        "spatial": (Stage(a, inp, (kernel[0], 1)), Stage(out, a, (1, kernel[1]))),
        "btd": (Stage(a * b, inp), Stage(a * c, a * b, kernel, groups=a), Stage(out, a * c)),
        "mirrored": (Stage(a, inp), Stage(b, a, (1, kernel[1])), Stage(c, b, (kernel[0], 1)), Stage(out, c)),
        "tt-tucker": (
            Stage(a, inp),
            Stage(b, a),
            Stage(c, b, (kernel[0], 1)),
            Stage(d, c, (1, kernel[1])),
            Stage(out, d),
        ),
    }
    stages = shapes.repeat_groups(chains[draw(st.sampled_from(sorted(chains)))], groups)
    spec = ConvSpec(
        out * groups, inp * groups, kernel, stride, padding, dilation, groups, mode, bias=draw(st.booleans())
    )
    # Large enough for the dilated kernel and for reflecting, which needs more pixels than it pads.
    size = tuple(
        max(d * (k - 1) + 1, 4) + draw(st.integers(0, 4)) for d, k in zip(dilation, kernel, strict=True)
    )
    return spec, stages, size


def hooked_macs(chain: nn.Module, x: Tensor) -> int:
    """Multiply-adds of every convolution of a real forward pass, per image."""
    total = []
    hooks = [
        layer.register_forward_hook(lambda m, _a, y: total.append(y.numel() * m.weight[0].numel()))
        for layer in chain
    ]
    chain(x)
    for hook in hooks:
        hook.remove()
    return sum(total) // len(x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 2**31))
def test_chain_is_the_original_with_the_composite_kernel(case, seed):
    spec, stages, size = case
    rng = torch.Generator().manual_seed(seed)
    weights = tuple(torch.randn(s.shape, generator=rng, dtype=torch.float64) for s in stages)
    bias = torch.randn(spec.out, generator=rng, dtype=torch.float64) if spec.bias else None
    x = torch.randn(2, spec.inp, *size, generator=rng, dtype=torch.float64)
    chain = build_chain(spec, stages, weights, bias)
    with torch.no_grad():
        expected, met = original(spec, composite(stages, weights), bias)(x), chain(x)
        # Rounding: every product and sum errs by eps of the sum of absolute values, n of them in a row.
        no_bias = None if bias is None else bias.abs()
        absolute = composite(stages, tuple(w.abs() for w in weights))
        bound = original(spec, absolute, no_bias)(x.abs())
    n = sum(prod(s.shape[1:]) for s in stages) + absolute[0].numel() + len(stages)
    assert met.shape == expected.shape == (2, spec.out, *shapes.output_size(spec, size))
    assert (met - expected).abs().le(n * torch.finfo(torch.float64).eps * bound).all()
    assert hooked_macs(chain, x) == shapes.macs(spec, stages, size)
    assert sum(p.numel() for p in chain.parameters()) == shapes.params(stages, bias=spec.bias)
    assert is_chain(chain)
    again, read = chain_spec(chain)
    assert read == stages
    assert shapes.geometry(again, read) == shapes.geometry(spec, stages) == tuple(map(read_spec, chain))


def chain_for(spec: ConvSpec, *ranks: int, dtype=torch.float32) -> nn.Sequential:
    stages = (Stage(ranks[0], spec.inp), Stage(ranks[-1], ranks[0], spec.kernel), Stage(spec.out, ranks[-1]))
    weights = tuple(torch.randn(s.shape, dtype=dtype) for s in stages)
    return build_chain(spec, stages, weights, torch.randn(spec.out, dtype=dtype) if spec.bias else None)


def test_linear_chain():
    spec = ConvSpec(7, 5, bias=True, linear=True)
    stages = (Stage(2, 5), Stage(7, 2))
    a, b, bias = torch.randn(2, 5, 1, 1), torch.randn(7, 2, 1, 1), torch.randn(7)
    chain = build_chain(spec, stages, (a, b), bias)
    assert [type(layer) for layer in chain] == [nn.Linear, nn.Linear]
    assert chain[0].bias is None
    x = torch.randn(4, 3, 5)
    expected = x @ (b[:, :, 0, 0] @ a[:, :, 0, 0]).T + bias
    torch.testing.assert_close(chain(x), expected)
    assert [tuple(w.shape) for w in chain_weights(chain)] == [(2, 5, 1, 1), (7, 2, 1, 1)]
    assert chain_spec(chain) == (spec, stages)


def test_dtype_trainable_and_own_memory():
    spec, stages = ConvSpec(4, 4, bias=True), (Stage(2, 4), Stage(4, 2))
    strided = torch.randn(4, 2, 1, 1, dtype=torch.bfloat16).transpose(0, 1)
    weights, bias = (
        (strided, torch.randn(4, 2, 1, 1, dtype=torch.bfloat16)),
        torch.zeros(4, dtype=torch.bfloat16),
    )
    frozen = build_chain(spec, stages, weights, bias, trainable=False)
    chain = build_chain(spec, stages, weights, bias)
    assert {p.dtype for p in chain.parameters()} == {torch.bfloat16}
    assert all(p.requires_grad and p.is_contiguous() for p in chain.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())
    bias += 1
    assert chain[1].bias.eq(0).all()


@pytest.mark.parametrize("linear", [False, True])
def test_no_random_numbers_are_drawn(linear):
    spec, stages = ConvSpec(4, 4, linear=linear), (Stage(2, 4), Stage(4, 2))
    weights = tuple(torch.zeros(s.shape) for s in stages)
    state = torch.get_rng_state()
    build_chain(spec, stages, weights, None)
    assert torch.equal(torch.get_rng_state(), state)


def test_spec_of_a_grouped_layer_comes_back():
    spec = ConvSpec(6, 9, (3, 3), (2, 1), (1, 0), (1, 2), groups=3, padding_mode="circular", bias=True)
    stages = shapes.repeat_groups((Stage(4, 3), Stage(2, 4, (3, 3), groups=2), Stage(2, 2)), 3)
    weights = tuple(torch.randn(s.shape) for s in stages)
    assert chain_spec(build_chain(spec, stages, weights, torch.zeros(6))) == (spec, stages)


def test_chain_weights_carry_the_gradient():
    chain = chain_for(ConvSpec(4, 4, (3, 3)), 2, 3)
    sum(w.sum() for w in chain_weights(chain)).backward()
    assert all(p.grad.eq(1).all() for p in chain.parameters())


REFUSED = {
    "at least one stage": (ConvSpec(4, 4), (), (), None),
    "cannot replace 4 to 4": (ConvSpec(4, 4), (Stage(4, 2),), (torch.zeros(4, 2, 1, 1),), None),
    "gives 3 channels, the next one takes 2": (
        ConvSpec(4, 4),
        (Stage(3, 4), Stage(4, 2)),
        (torch.zeros(3, 4, 1, 1), torch.zeros(4, 2, 1, 1)),
        None,
    ),
    "do not make up (3, 3)": (
        ConvSpec(4, 4, (3, 3)),
        (Stage(4, 4, (3, 1)),),
        (torch.zeros(4, 4, 3, 1),),
        None,
    ),
    "one stage an axis": (
        ConvSpec(4, 4, (5, 1)),
        (Stage(4, 4, (3, 1)), Stage(4, 4, (3, 1))),
        (torch.zeros(4, 4, 3, 1),) * 2,
        None,
    ),
    "no groups": (ConvSpec(4, 4, linear=True), (Stage(4, 4, groups=2),), (torch.zeros(4, 2, 1, 1),), None),
    "weights of shapes": (ConvSpec(4, 4), (Stage(4, 4),), (torch.zeros(4, 4),), None),
    "given is none": (ConvSpec(4, 4, bias=True), (Stage(4, 4),), (torch.zeros(4, 4, 1, 1),), None),
    "given is one of shape (4,)": (
        ConvSpec(4, 4),
        (Stage(4, 4),),
        (torch.zeros(4, 4, 1, 1),),
        torch.zeros(4),
    ),
    "given is one of shape (3,)": (
        ConvSpec(4, 4, bias=True),
        (Stage(4, 4),),
        (torch.zeros(4, 4, 1, 1),),
        torch.zeros(3),
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_misfits_are_refused(message):
    with pytest.raises(ShapeError) as caught:
        build_chain(*REFUSED[message])
    assert message in str(caught.value)


def hooked() -> nn.Module:
    chain = chain_for(ConvSpec(4, 4, (3, 3)), 2, 3)
    chain[1].register_forward_hook(lambda _m, _a, y: y * 2)
    return chain


NO_CHAIN = {
    "one layer": lambda: nn.Conv2d(4, 4, 3),
    "list": lambda: nn.ModuleList([nn.Conv2d(4, 4, 3)]),
    "empty": nn.Sequential,
    "nonlinear": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 1)),
    "mixed": lambda: nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.Linear(4, 4)),
    "bias inside": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)),
    "two kernels on one axis": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 4, 3)),
    "channels do not meet": lambda: nn.Sequential(nn.Conv2d(4, 2, 1, bias=False), nn.Conv2d(4, 4, 1)),
    "padding late": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 4, 1, padding=1)),
    "stride late": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.Conv2d(4, 4, 1, stride=2)),
    "one object twice": lambda: nn.Sequential(*[nn.Conv2d(4, 4, 3, bias=False)] * 2),
    "hooks": hooked,
}


@pytest.mark.parametrize("name", NO_CHAIN)
def test_what_is_no_chain(name):
    module = NO_CHAIN[name]()
    assert not is_chain(module)
    with pytest.raises(UnsupportedLayerError, match="no chain"):
        chain_weights(module)


def test_copies_are_chains_too():
    assert is_chain(copy.deepcopy(chain_for(ConvSpec(4, 4, (3, 3)), 2, 3)))
