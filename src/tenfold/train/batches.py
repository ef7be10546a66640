"""Augmented batches of images: which ones, and how they are varied, depends on nothing but seed and step.

No generator lives from one step to the next, so that a run that goes on after a kill, or a second process
that takes its share of a batch, sees the same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.data.augment import crop_flip, cut_out
from tenfold.data.dataset import Preprocessing

__all__ = ["BLENDS", "Augmentation", "Batches", "augmented", "blended", "generator", "seeded"]

BLENDS = 2
"""Beside the seeds of order and augmentation, that of blends."""

_STRIDE = 1_000_003  # a prime above any number of steps between two seeds
_SEEDS = 2**63 - 1


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        padding: black pixels on every side before a random crop; 0 for none.
        flip: whether images are mirrored at random.
        cut_out: height and width of a black square at a random place, in pixels; 0 for none.
    """

    padding: int = 4
    flip: bool = True
    cut_out: int = 0


def generator(seed: int, number: int) -> torch.Generator:
    """The source of randomness of the `number`-th thing under `seed`, both at least 0.

    Example:
        >>> a, b = (torch.rand(1, generator=generator(0, number)) for number in (1, 2))
        >>> bool(a == b)
        False
    """
    return torch.Generator().manual_seed(_mixed(seed, number))


@contextmanager
def seeded(seed: int, number: int) -> Iterator[None]:
    """Give what draws without a generator (dropout) the randomness of the `number`-th thing under `seed`."""
    # torch.manual_seed writes the stack of calls down for accelerators that may come: milliseconds a step.
    every = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
    with torch.random.fork_rng(devices=[]):
        every(_mixed(seed, number))
        yield


def _mixed(seed: int, number: int) -> int:
    """One seed of two numbers."""
    return (seed * _STRIDE + number) % _SEEDS


def augmented(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, *, batch_size: int, seed: int
) -> Iterator[Tensor]:
    """One pass over uint8 `images` (n, channels, height, width) in order, varied and preprocessed.

    A single image that is left over goes with the batch before it: batch norms cannot do with one.
    """
    source = torch.Generator().manual_seed(seed)
    batches = list(images.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [images[-batch_size - 1 :]]
    for batch in batches:
        yield _varied(batch, preprocessing, augmentation, source)


def blended(tensors: Sequence[Tensor], share: float, source: torch.Generator) -> tuple[Tensor, ...]:
    """Blend about `share` of the rows with another one of the batch, in random proportion.

        row_i <- own_i row_i + (1 - own_i) row_j,   own_i uniform in [0, 1)

    Args:
        tensors: floating point, each (n, ...); row i of all of them is blended alike.
        share: in [0, 1].
        source: of what is random.

    Returns:
        Tensors of the shapes, types and layouts of `tensors`.

    Notes:
        Zhang, Cisse, Dauphin & Lopez-Paz, mixup, arXiv:1710.09412, with alpha = 1 for a share of 1.

    Example:
        >>> rows, twice = torch.rand(4, 2), torch.rand(4, 2)
        >>> made, same = blended((rows, rows), 1.0, generator(0, 0))
        >>> bool((made == same).all()), blended((twice,), 0.0, generator(0, 0))[0].equal(twice)
        (True, True)
    """
    count = len(tensors[0])
    other = torch.randperm(count, generator=source)
    own = torch.rand(count, generator=source)
    own = torch.where(torch.rand(count, generator=source) < share, own, torch.ones(()))
    made = (torch.lerp(t[other], t, own.view(-1, *[1] * (t.dim() - 1)).to(t)) for t in tensors)
    return tuple(new.contiguous(memory_format=torch.channels_last) if new.dim() == 4 else new for new in made)


class Batches:
    """Batch after batch for ever, in a new order each epoch; an epoch's last short batch is dropped.

    Attributes:
        batch_size: images a batch; all of them where there are fewer.
        per_epoch: batches an epoch, at least 1.

    Example:
        >>> from tenfold.data.dataset import Preprocessing
        >>> images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
        >>> still = Augmentation(padding=0, flip=False)
        >>> batches = Batches(images, Preprocessing((0.0,), (1.0,)), still, batch_size=3, seed=0)
        >>> places = [batches.at(step)[1] for step in (1, 2)]
        >>> sorted(torch.cat(places).tolist())
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(
        self,
        images: Tensor,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        """Name the images, (n, channels, height, width), uint8; none is touched yet."""
        self.batch_size = min(batch_size, len(images))
        self.per_epoch = len(images) // self.batch_size
        self._images = images
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._seed = seed
        self._order: tuple[int, Tensor] | None = None

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step, from 1.

        Returns:
            (batch, places): float32 images, and where among the images (int64, (batch_size,)) each came
            from, which finds their labels.
        """
        epoch, number = divmod(step - 1, self.per_epoch)
        places = self._ordered(epoch)[number * self.batch_size :][: self.batch_size]
        source = generator(self._seed + 1, step)
        return _varied(self._images[places], self._preprocessing, self._augmentation, source), places

    def _ordered(self, epoch: int) -> Tensor:
        """The order of an epoch, from 0; that of the last one asked for is kept."""
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(len(self._images), generator=generator(self._seed, epoch))
            self._order = (epoch, order)
        return self._order[1]


def _varied(
    images: Tensor, preprocessing: Preprocessing, augmentation: Augmentation, source: torch.Generator
) -> Tensor:
    """A batch as the network is given it: augmented, preprocessed, channels last."""
    varied = crop_flip(images, source, padding=augmentation.padding, flip=augmentation.flip)
    if augmentation.cut_out:
        varied = cut_out(varied, source, size=augmentation.cut_out)
    return preprocessing.apply(varied).contiguous(memory_format=torch.channels_last)
