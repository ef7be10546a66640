"""One kernel, one scheme, one rank."""

from __future__ import annotations

from torch import Tensor

from tenfold.core.shapes import Rank
from tenfold.schemes.base import Fit, Weights
from tenfold.schemes.registry import get_scheme

__all__ = ["decompose"]


def decompose(weight: Tensor, scheme: str, rank: Rank, *, seed: int = 0, start: Weights | None = None) -> Fit:
    """Approximate a convolution kernel by a chain of smaller ones.

    Minimises ``||W - W_hat|| / ||W||`` (Frobenius) over all chains of that scheme and rank: the plain
    error, without the metric that `tenfold.compress` weighs it with.

    Args:
        weight: kernel (out, in, kh, kw) of an ungrouped convolution; any float dtype, any device. Work is
            done in float64.
        scheme: "btd", "tucker", "cp", "tt", "tt-tucker", "svd" or "svd-mirrored".
        rank: as the scheme names its places, such as (blocks, out, inp) for "btd".
        seed: of random starts; the same seed gives the same bits.
        start: weights of an earlier fit of the same rank, to go on from.

    Returns:
        One weight a stage, in the dtype of `weight`, the error, and how the fit ended.

    Raises:
        UnknownNameError: no such scheme.
        RankError: the rank has other places than the scheme, or is outside the kernel's bounds.
        ShapeError: `weight` is no kernel, or is empty; `start` is of another rank.
        NonFiniteError: `weight` or `start` holds NaN or inf.

    Example:
        >>> import torch
        >>> kernel = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(0))
        >>> fit = decompose(kernel, "tucker", (4, 3))
        >>> [tuple(stage.shape) for stage in fit.weights]
        [(3, 6, 1, 1), (4, 3, 3, 3), (8, 4, 1, 1)]
        >>> 0 < fit.error < 1
        True
    """
    return get_scheme(scheme).fit(weight, rank, seed=seed, start=start)
