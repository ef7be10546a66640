"""Random crops, flips and cut-outs of whole batches, on uint8 images before normalisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["crop_flip", "cut_out"]


def crop_flip(images: Tensor, generator: torch.Generator, *, padding: int = 4, flip: bool = True) -> Tensor:
    """Crop each image at random from its black-padded self, and mirror every other one, left to right.

    The padding is black *before* normalisation, as in the training of the public CIFAR networks;
    statistics re-estimated with another padding cost points of accuracy.

    Args:
        images: (n, channels, height, width), uint8, any device.
        generator: source of all randomness; the same state gives the same crops.
        padding: black pixels on every side, at least 0; 0 leaves the position as it is.
        flip: whether to mirror, with probability 1/2. Not for images whose mirror image has another
            meaning, such as digits.

    Returns:
        Same shape, dtype and device.

    Example:
        >>> batch = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
        >>> torch.equal(crop_flip(batch, torch.Generator(), padding=0, flip=False), batch)
        True
    """
    count, channels, height, width = images.shape
    device = generator.device
    corners = torch.randint(2 * padding + 1, (2, count, 1), generator=generator, device=device)
    top, left = corners  # (n, 1) each
    rows = torch.arange(height, device=device) + top  # (n, height)
    columns = torch.arange(width, device=device).expand(count, width)
    if flip:
        mirrored = torch.randint(2, (count, 1), generator=generator, device=device).bool()
        columns = torch.where(mirrored, width - 1 - columns, columns)
    columns = columns + left  # (n, width)
    places = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]  # (n, height, width), flat places
    padded = functional.pad(images, (padding,) * 4).flatten(2)  # (n, channels, padded height * padded width)
    index = places.to(images.device).reshape(count, 1, -1).expand(-1, channels, -1)
    return padded.gather(2, index).view(images.shape)


def cut_out(images: Tensor, generator: torch.Generator, *, size: int) -> Tensor:
    """Blacken a square of each image, its centre anywhere (DeVries & Taylor, arXiv:1708.04552).

    Args:
        images: (n, channels, height, width), uint8; not changed.
        generator: source of the places.
        size: height and width of the square in pixels, at least 1; what lies outside the image is lost.

    Returns:
        Same shape, dtype and device.

    Example:
        >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
        >>> 16 <= int(cut_out(ones, torch.Generator().manual_seed(0), size=4).sum()) < 64
        True
    """
    inside = [_covered(extent, len(images), size, generator) for extent in images.shape[2:]]
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(square.to(images.device), 0)


def _covered(extent: int, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Which of `extent` rows or columns a square covers, (count, extent), bool."""
    first = torch.randint(extent, (count, 1), generator=generator) - size // 2
    places = torch.arange(extent)
    return (places >= first) & (places < first + size)
