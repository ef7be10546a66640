"""The spec of a bare kernel, for solvers that see nothing else of a layer."""

from __future__ import annotations

from torch import Tensor

from tenfold.core.errors import ShapeError
from tenfold.core.shapes import ConvSpec

__all__ = ["kernel_spec"]


def kernel_spec(weight: Tensor) -> ConvSpec:
    """What can be said of a layer from its kernel (out, in, kh, kw) alone.

    Raises:
        ShapeError: not four modes, or an empty one.
    """
    if weight.dim() != 4 or 0 in weight.shape:
        raise ShapeError(
            f"a kernel of shape {tuple(weight.shape)} was given; expected (out, in, kh, kw), none of them 0"
        )
    n_out, n_in, kh, kw = weight.shape
    return ConvSpec(n_out, n_in, (kh, kw))
