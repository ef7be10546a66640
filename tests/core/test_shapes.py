from __future__ import annotations

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.errors import ShapeError
from tenfold.core.shapes import (
    ConvSpec,
    Stage,
    dense_macs,
    dense_params,
    geometry,
    macs,
    output_size,
    params,
    repeat_groups,
)

POSITIVE = st.integers(1, 5)
PAIRS = st.tuples(POSITIVE, POSITIVE)


def test_group():
    spec = ConvSpec(12, 6, (3, 5), groups=3, bias=True, stride=(2, 1))
    assert spec.shape == (12, 2, 3, 5)
    assert spec.group == ConvSpec(4, 2, (3, 5), bias=True, stride=(2, 1))
    assert spec.group.group == spec.group
    assert dense_params(spec) == 3 * dense_params(spec.group) == 12 * 2 * 15 + 12


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, PAIRS)
def test_closed_forms_of_the_schemes(out, inp, p, q, kernel):
    k = prod(kernel)
    tucker = (Stage(q, inp), Stage(p, q, kernel), Stage(out, p))
    assert params(tucker, bias=False) == inp * q + k * p * q + out * p
    blocks = (Stage(5 * q, inp), Stage(5 * p, 5 * q, kernel, groups=5), Stage(out, 5 * p))
    assert params(blocks, bias=True) == 5 * (inp * q + k * p * q + out * p) + out


@given(POSITIVE, POSITIVE, POSITIVE, PAIRS)
def test_repeated_groups(groups, out, inp, kernel):
    stages = (Stage(6, inp), Stage(4, 6, kernel, groups=2), Stage(out, 4))
    grouped = repeat_groups(stages, groups)
    assert params(grouped, bias=False) == groups * params(stages, bias=False)
    assert [s.groups for s in grouped] == [groups, 2 * groups, groups]
    assert (grouped[0].inp, grouped[-1].out) == (inp * groups, out * groups)


SPATIAL = (Stage(2, 4), Stage(3, 2, (3, 1)), Stage(5, 3, (1, 5)), Stage(8, 5))


def test_geometry_goes_to_the_stage_that_looks_along_the_axis():
    spec = ConvSpec(8, 4, (3, 5), (2, 3), (1, 2), (4, 5), padding_mode="reflect", bias=True)
    chain = geometry(spec, SPATIAL)
    assert [s.stride for s in chain] == [(1, 1), (2, 1), (1, 3), (1, 1)]
    assert [s.padding for s in chain] == [(0, 0), (1, 0), (0, 2), (0, 0)]
    assert [s.dilation for s in chain] == [(1, 1), (4, 1), (1, 5), (1, 1)]
    assert [s.padding_mode for s in chain] == ["zeros", "reflect", "reflect", "zeros"]
    assert [s.bias for s in chain] == [False, False, False, True]
    assert [s.shape for s in chain] == [s.shape for s in SPATIAL]


def test_geometry_of_a_pointwise_layer_goes_to_the_first_stage():
    spec = ConvSpec(8, 4, stride=(2, 3), padding=(1, 2))
    first, second = geometry(spec, (Stage(2, 4), Stage(8, 2)))
    assert (first.stride, first.padding) == ((2, 3), (1, 2))
    assert (second.stride, second.padding) == ((1, 1), (0, 0))


def test_geometry_of_same_padding_and_of_linear():
    chain = geometry(ConvSpec(8, 4, (3, 5), padding="same", dilation=(2, 1)), SPATIAL)
    assert [s.padding for s in chain] == [(0, 0), "same", "same", (0, 0)]
    assert [s.dilation for s in chain] == [(1, 1), (2, 1), (1, 1), (1, 1)]
    assert all(s.linear for s in geometry(ConvSpec(8, 4, linear=True), (Stage(2, 4), Stage(8, 2))))


@given(PAIRS, PAIRS, PAIRS, PAIRS, st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_output_size_counts_the_places_of_the_kernel(size, kernel, stride, dilation, padding):
    spec = ConvSpec(1, 1, kernel, stride, padding, dilation)
    places = []
    for axis in (0, 1):
        length, reach = size[axis] + 2 * padding[axis], dilation[axis] * (kernel[axis] - 1)
        places.append(sum(start + reach < length for start in range(0, length, stride[axis])))
    if min(places) == 0:
        with pytest.raises(ShapeError, match="smaller than the kernel"):
            output_size(spec, size)
    else:
        assert output_size(spec, size) == tuple(places)
        assert dense_macs(spec, size) == prod(places) * prod(kernel)


def test_same_padding_keeps_the_size():
    assert output_size(ConvSpec(1, 1, (4, 3), padding="same", dilation=(3, 1)), (5, 9)) == (5, 9)


def test_macs_of_a_chain_follow_the_sizes():
    spec = ConvSpec(8, 4, (3, 5), (2, 2), (1, 2), bias=True)
    expected = 2 * 4 * (10 * 8) + 3 * 2 * 3 * (5 * 8) + 5 * 3 * 5 * (5 * 4) + 8 * 5 * (5 * 4)
    assert macs(spec, SPATIAL, (10, 8)) == expected
    assert macs(spec, (Stage(8, 4, (3, 5)),), (10, 8)) == dense_macs(spec, (10, 8)) == 8 * 4 * 15 * 20


def test_macs_of_a_linear_layer_count_its_positions():
    spec = ConvSpec(8, 4, linear=True)
    assert dense_macs(spec, (1, 7)) == 7 * 32
    assert macs(spec, (Stage(2, 4), Stage(8, 2)), (1, 7)) == 7 * (8 + 16)
