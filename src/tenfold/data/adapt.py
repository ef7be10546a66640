"""Other sizes and other numbers of channels, for images that are tensors already."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tenfold.core.errors import DataError

__all__ = ["adapt", "check_options"]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, the weights Pillow uses for its mode "L"


def check_options(resize: tuple[int, int] | None, channels: int | None) -> None:
    """Refuse sizes and channel numbers no reader can give.

    Raises:
        DataError: a side of `resize` is below 1, or `channels` is neither 1 nor 3.
    """
    if resize is not None and (len(resize) != 2 or min(resize) < 1):
        raise DataError(f"resize {resize}: give (height, width) in pixels, both at least 1")
    if channels not in (None, 1, 3):
        raise DataError(f"channels={channels}: images are read with 1 (grey) or 3 (RGB)")


def adapt(images: Tensor, *, resize: tuple[int, int] | None = None, channels: int | None = None) -> Tensor:
    """Give `images` another size (bilinear, antialiased) and number of channels.

    Args:
        images: (n, 1 or 3, height, width), uint8.
        resize: (height, width) wanted; None keeps the size.
        channels: 3 repeats grey, 1 takes the luma 0.299 R + 0.587 G + 0.114 B; None keeps the channels.

    Returns:
        (n, channels, height, width), uint8.

    Raises:
        DataError: as `check_options`.

    Example:
        >>> tuple(adapt(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), resize=(6, 4), channels=3).shape)
        (2, 3, 6, 4)
    """
    check_options(resize, channels)
    if channels == 1 and images.shape[1] == 3:
        images = torch.einsum("nchw,c->nhw", images.float(), torch.tensor(_LUMA)).round_().byte()[:, None]
    if resize is not None and tuple(images.shape[2:]) != tuple(resize):
        images = functional.interpolate(images, size=resize, mode="bilinear", antialias=True)
    if channels == 3 and images.shape[1] == 1:
        images = images.repeat(1, 3, 1, 1)
    return images
