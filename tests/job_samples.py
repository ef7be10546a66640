"""A small network of one's own, a folder of small images, and settings that make a job of them quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

ARCH = "job_samples:tiny"
CLASSES = ("ant", "bee", "cow")
SHAPE = (3, 12, 12)
SETTINGS: dict[str, Any] = {
    "arch": ARCH,
    "budget": {"params": 0.6},
    "scheme": "svd",
    "calibration": 16,
    "recovery_steps": 3,
    "recovery_batch": 16,
    "workers": 1,
}


def tiny(classes: int, channels: int) -> nn.Module:
    """Two convolutions that pay to be factorised, and a classifier."""
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def depthwise(classes: int, channels: int) -> nn.Module:
    """A network most of which has to be kept."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3),
        nn.Conv2d(16, 320, 5, groups=16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(320, classes),
    )


def write_images(root: Path) -> Path:
    """20 training and 8 test images a class, RGB 12x12, noise around a brightness of the class's own."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 8)):
        for number, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 60, (12, 12, 3)) + 80 * number
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return root


def write_weights(path: Path, **changes: torch.Tensor) -> Path:
    """A checkpoint of `tiny`; tensors named in `changes` (dots as double underscores) are replaced."""
    torch.manual_seed(0)
    tensors = dict(tiny(len(CLASSES), 3).state_dict())
    for name, value in changes.items():
        tensors[name.replace("__", ".")] = value
    save_file(tensors, path)
    return path
