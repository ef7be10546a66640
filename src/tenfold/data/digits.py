"""The handwritten digits that scikit-learn ships."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tenfold.data.dataset import Dataset

__all__ = ["read_digits"]


def read_digits() -> tuple[Dataset, Dataset]:
    """1,797 grey digits of 8x8, scaled from 0...16 to 0...255; a third, stratified, is the test set.

    Returns:
        (train, test): 1,198 and 599 images, always the same ones.

    Notes:
        E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test set).

    Example:
        >>> train, test = read_digits()
        >>> tuple(train.images.shape), len(test)
        ((1198, 1, 8, 8), 599)
    """
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).mul(255 / 16).round().byte()[:, None]  # (1797, 1, 8, 8)
    labels = torch.from_numpy(bunch.target).long()
    train, test = train_test_split(range(len(labels)), test_size=1 / 3, stratify=bunch.target, random_state=0)
    whole = Dataset(images, labels, tuple(str(name) for name in bunch.target_names))
    return whole.subset(torch.tensor(train)), whole.subset(torch.tensor(test))
