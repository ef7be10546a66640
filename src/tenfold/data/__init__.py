"""Images as tensors: readers, parts of the training set, augmentation."""

from __future__ import annotations

from tenfold.data.augment import crop_flip
from tenfold.data.dataset import Dataset, Preprocessing, Splits, calibration_and_held_out, hold_out, permuted
from tenfold.data.source import data_names, load_data

__all__ = [
    "Dataset",
    "Preprocessing",
    "Splits",
    "calibration_and_held_out",
    "crop_flip",
    "data_names",
    "hold_out",
    "load_data",
    "permuted",
]
