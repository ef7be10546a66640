from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from conformance import noise
from tenfold.algebra.chain import chain_kernel
from tenfold.core.errors import ShapeError
from tenfold.core.shapes import Stage, repeat_groups

SIZES = st.integers(1, 4)


def impulse_response(stages: tuple[Stage, ...], weights: list[Tensor]) -> Tensor:
    """The dense kernel of a chain as torch's own convolutions answer to one impulse a channel."""
    kh, kw = (sum(s.kernel[axis] - 1 for s in stages) + 1 for axis in (0, 1))
    inp = stages[0].inp
    image = torch.zeros(inp, inp, 2 * kh - 1, 2 * kw - 1, dtype=torch.float64)
    image[range(inp), range(inp), kh - 1, kw - 1] = 1
    for stage, weight in zip(stages, weights, strict=True):
        image = F.conv2d(image, weight, groups=stage.groups)
    return image.permute(1, 0, 2, 3).flip(2, 3)  # convolution is correlation: the answer comes mirrored


@st.composite
def chains(draw: st.DrawFn) -> tuple[Stage, ...]:
    """One of the forms tenfold builds, in random sizes."""
    a, b, c, inp, out, kh, kw = draw(st.tuples(*[SIZES] * 7))
    forms = (
        (Stage(out, inp, (kh, kw)),),
        (Stage(a, inp, (kh, kw)), Stage(out, a)),
        (Stage(a, inp), Stage(out, a, (kh, kw))),
        (Stage(a * b, inp), Stage(a * c, a * b, (kh, kw), groups=a), Stage(out, a * c)),
        (Stage(a, inp), Stage(b, a, (kh, 1)), Stage(c, b, (1, kw)), Stage(out, c)),
        (Stage(b, inp, (1, kw)), Stage(out, b, (kh, 1))),
    )
    return draw(st.sampled_from(forms))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(chains(), st.integers(0, 99))
def test_kernel_is_the_impulse_response(stages, seed):
    weights = [noise(*s.shape, seed=seed + n) for n, s in enumerate(stages)]
    assert torch.allclose(chain_kernel(stages, weights), impulse_response(stages, weights), atol=1e-13)


@pytest.mark.parametrize("groups", [2, 3])
def test_grouped_chain_has_a_grouped_kernel(groups):
    stages = repeat_groups((Stage(4, 3), Stage(6, 4, (2, 3), groups=2), Stage(5, 6)), groups)
    weights = [noise(*s.shape, seed=n) for n, s in enumerate(stages)]
    kernel, dense = chain_kernel(stages, weights), impulse_response(stages, weights)
    assert kernel.shape == (5 * groups, 3, 2, 3)
    for g in range(groups):
        rows, columns = slice(5 * g, 5 * g + 5), slice(3 * g, 3 * g + 3)
        assert torch.allclose(kernel[rows], dense[rows, columns], atol=1e-13)
        dense[rows, columns] = 0
    assert not dense.any()


def test_kernel_is_linear_in_every_stage_and_differentiable():
    stages = (Stage(4, 3), Stage(4, 4, (2, 1), groups=2), Stage(2, 4, (1, 3)))
    weights = [noise(*s.shape, seed=n).requires_grad_() for n, s in enumerate(stages)]
    assert torch.autograd.gradcheck(lambda *w: chain_kernel(stages, w), weights)


def test_kernel_has_the_dtype_of_the_weights():
    assert chain_kernel(
        (Stage(2, 3), Stage(1, 2)), [torch.ones(2, 3, 1, 1), torch.ones(1, 2, 1, 1)]
    ).dtype == (torch.float32)


@pytest.mark.parametrize(
    ("stages", "shapes", "message"),
    [
        (
            (Stage(2, 3), Stage(4, 2)),
            [(2, 3, 1, 1), (2, 4, 1, 1)],
            r"\(2, 4, 1, 1\); expected \(4, 2, 1, 1\)",
        ),
        ((Stage(2, 3), Stage(4, 3)), [(2, 3, 1, 1), (4, 3, 1, 1)], "do not join"),
        ((Stage(6, 6, groups=2), Stage(6, 6, groups=3)), [(6, 3, 1, 1), (6, 2, 1, 1)], "do not join"),
        ((Stage(2, 3, (3, 1)), Stage(4, 2, (3, 3))), [(2, 3, 3, 1), (4, 2, 3, 3)], "longer than 1 on axis 0"),
        ((Stage(2, 3, (1, 3)), Stage(4, 2, (1, 2))), [(2, 3, 1, 3), (4, 2, 1, 2)], "longer than 1 on axis 1"),
    ],
)
def test_what_is_no_chain_is_refused(stages, shapes, message):
    with pytest.raises(ShapeError, match=message):
        chain_kernel(stages, [torch.ones(shape) for shape in shapes])


def test_number_of_weights_must_fit():
    with pytest.raises(ValueError, match="zip"):
        chain_kernel((Stage(2, 3),), [])


def test_kernel_of_many_channels_takes_no_square_of_them():
    stages = (Stage(1, 1 << 20), Stage(2, 1))  # an identity of so many would take 4 TB
    kernel = chain_kernel(stages, [torch.ones(1, 1 << 20, 1, 1), torch.ones(2, 1, 1, 1)])
    assert kernel.shape == (2, 1 << 20, 1, 1)
    assert kernel.eq(1).all()
