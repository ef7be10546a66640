from __future__ import annotations

import pytest
import torch

from tenfold.core.errors import ShapeError
from tenfold.core.shapes import ConvSpec
from tenfold.schemes.spec import kernel_spec


def test_spec_of_a_kernel():
    assert kernel_spec(torch.ones(4, 3, 2, 5)) == ConvSpec(out=4, inp=3, kernel=(2, 5))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3), (4, 3, 3, 3, 3), (0, 3, 3, 3), (4, 3, 3, 0)])
def test_what_is_no_kernel_is_refused_with_its_shape(shape):
    with pytest.raises(ShapeError) as caught:
        kernel_spec(torch.ones(shape))
    assert str(shape) in str(caught.value)
