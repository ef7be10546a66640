"""Images and labels as tensors, and the ways to take a part of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.core.errors import DataError, ShapeError

__all__ = ["Dataset", "Preprocessing", "Splits", "calibration_and_held_out", "hold_out", "permuted"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images of one size, in memory.

    Attributes:
        images: (n, channels, height, width), uint8 in [0, 255].
        labels: (n,), int64, each an index into `classes`.
        classes: one name a class.

    Raises:
        ShapeError: shapes or dtypes are not those above.
        DataError: a label has no class.

    Example:
        >>> data = Dataset(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), ("a", "b"))
        >>> len(data), len(data.subset(torch.tensor([3, 0])))
        (4, 2)
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what is no set of labelled images."""
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            met = f"{self.images.dtype} of shape {tuple(self.images.shape)}"
            raise ShapeError(f"images: met {met}, need torch.uint8 of shape (n, channels, height, width)")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            met = f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"
            raise ShapeError(f"labels: met {met}, need torch.int64 of shape ({len(self.images)},)")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            low, high = int(self.labels.min()), int(self.labels.max())
            raise DataError(f"labels run from {low} to {high}, but there are {len(self.classes)} classes")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def subset(self, indices: Tensor) -> Dataset:
        """The images at `indices` (int64, any length), in that order; a copy."""
        return Dataset(self.images[indices], self.labels[indices], self.classes)


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants done to uint8 images: ``(x / 255 - mean) / std``.

    Attributes:
        mean: one value a channel, in the units of ``x / 255``.
        std: one value a channel, above 0.

    Raises:
        DataError: `mean` and `std` differ in length, or a `std` is not above 0.

    Example:
        >>> Preprocessing((0.5,), (0.25,)).apply(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item()
        2.0
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what would divide by zero or leave a channel out."""
        if len(self.mean) != len(self.std) or not self.mean:
            raise DataError(f"mean {self.mean} and std {self.std}: give one value a channel in each")
        if not all(value > 0 for value in self.std):
            raise DataError(f"std {self.std}: every value must be above 0")

    def apply(self, images: Tensor) -> Tensor:
        """Normalise `images`.

        Args:
            images: (n, channels, height, width), uint8, any device.

        Returns:
            Same shape and device, float32.

        Raises:
            ShapeError: `images` has another number of channels than `mean`.
        """
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ShapeError(
                f"mean and std are for {len(self.mean)} channel(s), the images have shape "
                f"{tuple(images.shape)}: give one mean and one std a channel"
            )
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(-1, 1, 1)
        return images.float().div_(255).sub_(mean).div_(std)


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set as `load_data` gives it.

    Attributes:
        train: in the order of the files, which is often sorted by class: permute before any subset.
        test: of the same image size, channels and classes.
        preprocessing: what the networks trained on these images expect.

    Raises:
        DataError: `train` and `test` differ in image size, channels or classes.
    """

    train: Dataset
    test: Dataset
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        """Refuse two splits that no one network could take."""
        train, test = tuple(self.train.images.shape[1:]), tuple(self.test.images.shape[1:])
        if train != test:
            raise DataError(
                f"training images are {train} (channels, height, width), test images {test}: "
                "give resize and channels"
            )
        if self.train.classes != self.test.classes:
            raise DataError("training and test images have different classes: both splits need the same ones")


def permuted(dataset: Dataset, seed: int) -> Dataset:
    """The same images in a random order that depends on `seed` and the number of images alone."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    return dataset.subset(order)


def hold_out(train: Dataset, count: int, *, seed: int) -> tuple[Dataset, Dataset]:
    """Take `count` random images out of `train`, so that a choice can be judged without the test set.

    Returns:
        (rest, held out), disjoint, both in random order. Of one seed the same images are held out,
        here and in `calibration_and_held_out`.

    Raises:
        DataError: nothing would be left, or `count` is negative.

    Example:
        >>> data = Dataset(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10) // 5, ("a", "b"))
        >>> rest, held_out = hold_out(data, 3, seed=0)
        >>> len(rest), len(held_out)
        (7, 3)
    """
    if not 0 <= count < len(train):
        raise DataError(
            f"{count} images to hold out of {len(train)} training images: at least one must be left"
        )
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return train.subset(order[count:]), train.subset(order[:count])


def calibration_and_held_out(
    train: Dataset, *, calibration: int, held_out: int, seed: int
) -> tuple[Tensor, Dataset]:
    """Two disjoint random parts of the training images: one to fit on, one to judge by.

    Args:
        train: in any order; it is permuted first, because files come sorted by class.
        calibration: most images to fit on, at least 1; fewer where `held_out` leaves fewer.
        held_out: images to judge by.
        seed: of the permutation.

    Returns:
        (images, held out): unlabelled images (at most `calibration`, channels, height, width), uint8;
        and the labelled images to judge by.

    Raises:
        DataError: `train` is too small to hold out that many, or `calibration` is below 1.
    """
    if calibration < 1:
        raise DataError(f"{calibration} calibration images asked: at least 1 is needed")
    rest, held = hold_out(train, held_out, seed=seed)
    return rest.images[:calibration], held
