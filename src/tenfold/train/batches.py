"""Augmented batches of images, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.data.augment import crop_flip
from tenfold.data.dataset import Preprocessing

__all__ = ["Augmentation", "augmented", "endless", "endless_with_places"]


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        padding: black pixels on every side before a random crop; 0 for none.
        flip: whether images are mirrored at random.
    """

    padding: int = 4
    flip: bool = True


def augmented(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, *, batch_size: int, seed: int
) -> Iterator[Tensor]:
    """One pass over uint8 `images` (n, channels, height, width) in order, varied and preprocessed."""
    generator = torch.Generator().manual_seed(seed)
    for batch in images.split(batch_size):
        yield _varied(batch, preprocessing, augmentation, generator)


def endless(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, *, batch_size: int, seed: int
) -> Iterator[Tensor]:
    """The batches of `endless_with_places`, without their places."""
    found = endless_with_places(images, preprocessing, augmentation, batch_size=batch_size, seed=seed)
    return (batch for batch, _ in found)


def endless_with_places(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, *, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch after batch for ever, in a new order each epoch; an epoch's last short batch is dropped.

    Args:
        images: (n, channels, height, width), uint8.
        preprocessing: what the network expects.
        augmentation: how the images are varied.
        batch_size: images a batch; all of them where there are fewer.
        seed: of order and augmentation.

    Yields:
        (batch, places): float32 images, and where in `images` (int64, (batch_size,)) each came from,
        which finds their labels.
    """
    generator = torch.Generator().manual_seed(seed)
    batch_size = min(batch_size, len(images))
    while True:
        order = torch.randperm(len(images), generator=generator)
        for places in order.split(batch_size)[: len(images) // batch_size]:
            yield _varied(images[places], preprocessing, augmentation, generator), places


def _varied(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """A batch as the network is given it: augmented, preprocessed, channels last."""
    varied = crop_flip(images, generator, padding=augmentation.padding, flip=augmentation.flip)
    return preprocessing.apply(varied).contiguous(memory_format=torch.channels_last)
