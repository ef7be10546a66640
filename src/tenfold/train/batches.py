"""Endless augmented batches of unlabelled images, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.data.augment import crop_flip
from tenfold.data.dataset import Preprocessing

__all__ = ["Augmentation", "augmented", "endless"]


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
        varied = crop_flip(batch, generator, padding=augmentation.padding, flip=augmentation.flip)
        yield preprocessing.apply(varied).contiguous(memory_format=torch.channels_last)


def endless(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, *, batch_size: int, seed: int
) -> Iterator[Tensor]:
    """Batch after batch for ever, in a new order each epoch; an epoch's last short batch is dropped."""
    generator = torch.Generator().manual_seed(seed)
    batch_size = min(batch_size, len(images))
    while True:
        order = torch.randperm(len(images), generator=generator)
        for places in order.split(batch_size):
            if len(places) == batch_size:
                varied = crop_flip(
                    images[places], generator, padding=augmentation.padding, flip=augmentation.flip
                )
                yield preprocessing.apply(varied).contiguous(memory_format=torch.channels_last)
