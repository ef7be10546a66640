"""Data by name or by path."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tenfold.core.errors import DataError, nearest
from tenfold.data.adapt import adapt, check_options
from tenfold.data.cache import cache_directory, cached
from tenfold.data.cifar_batches import holds_cifar_batches, read_cifar_batches
from tenfold.data.dataset import Dataset, Preprocessing, Splits
from tenfold.data.digits import read_digits
from tenfold.data.folder import read_folder, read_zip
from tenfold.data.idx import holds_idx, read_idx

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "data_names", "load_data"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of RGB images in [0, 1] that public networks, also those for CIFAR, are trained with."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation that goes with `IMAGENET_MEAN`."""

_Pair = tuple[Dataset, Dataset]

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CLASSES = {"fashion-mnist": _FASHION}
_FILES = {
    "cifar10": ("cifar10", "cifar10.zip", "cifar-10-batches-py"),
    "cifar100": ("cifar100", "cifar100.zip", "cifar-100-python"),
    "fashion-mnist": ("fashion-mnist",),
    "mnist": ("mnist",),
}
_SYSTEM = Path("/usr/share/datasets")  # where Debian's dataset packages put their files
_ADVICE = {"fashion-mnist": "install Debian's package dataset-fashion-mnist or give a path"}


def data_names() -> tuple[str, ...]:
    """The data sets that `load_data` knows by name.

    Example:
        >>> data_names()
        ('cifar10', 'cifar100', 'digits', 'fashion-mnist', 'mnist')
    """
    return tuple(sorted([*_FILES, "digits"]))


def load_data(
    source: str,
    *,
    resize: tuple[int, int] | None = None,
    channels: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Splits:
    """Read a data set: what it is, is found out by looking.

    Args:
        source: a name of `data_names`, or a path to an image folder (`train/` and `test/` or `val/`), a zip
            file of one, a folder of IDX files, or a folder of CIFAR python batches. A name goes before a
            path of the same spelling; write `./digits` for the path. Named files are looked for in the
            folder that the environment variable TENFOLD_DATA names, in the cache directory and in
            /usr/share/datasets.
        resize: (height, width), bilinear; None keeps the size of the files.
        channels: 1 (grey) or 3 (RGB); None keeps what the files have.
        mean: one value a channel for images in [0, 1]; None takes `IMAGENET_MEAN` for RGB and 0.5 for grey.
        std: as `mean`; None takes `IMAGENET_STD` for RGB and 0.5 for grey.

    Returns:
        Training and test images and the preprocessing that goes with them. The images are in the order
        of the files, often sorted by class: permute before any subset.

    Raises:
        DataError: nothing is there, or it cannot be read; the message names the file and what to do.

    Example:
        >>> load_data("digits", resize=(16, 16)).train.images.shape
        torch.Size([1198, 1, 16, 16])
    """
    check_options(resize, channels)
    train, test = _read_named(source, resize, channels) or _read_path(Path(source), resize, channels)
    splits = [
        Dataset(adapt(s.images, resize=resize, channels=channels), s.labels, s.classes) for s in (train, test)
    ]
    grey = splits[0].images.shape[1] == 1
    default_mean, default_std = ((0.5,), (0.5,)) if grey else (IMAGENET_MEAN, IMAGENET_STD)
    preprocessing = Preprocessing(tuple(mean or default_mean), tuple(std or default_std))
    _check_channels(source, splits[0], preprocessing)
    return Splits(splits[0], splits[1], preprocessing)


def _check_channels(source: str, train: Dataset, preprocessing: Preprocessing) -> None:
    """Refuse a mean for other channels than the images have, before a long job finds out."""
    met, given = train.images.shape[1], len(preprocessing.mean)
    if met != given:
        raise DataError(f"{source}: {given} value(s) of mean and std, but the images have {met} channel(s)")


def _read_named(source: str, resize: tuple[int, int] | None, channels: int | None) -> _Pair | None:
    """The data set of that name, or None if it is not a name."""
    if source == "digits":
        return read_digits()
    if source not in _FILES:
        return None
    own = os.environ.get("TENFOLD_DATA")
    roots = [*([Path(own)] if own else []), cache_directory(), _SYSTEM]
    places = [root / name for root in roots for name in _FILES[source]]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        advice = _ADVICE.get(source, "give the path to its files")
        raise DataError(f"{source}: not found in {', '.join(str(root) for root in roots)}; {advice}")
    return _read_path(found, resize, channels, classes=_CLASSES.get(source))


def _read_path(
    path: Path,
    resize: tuple[int, int] | None,
    channels: int | None,
    *,
    classes: tuple[str, ...] | None = None,
) -> _Pair:
    """The data set at `path`, whatever its kind."""
    path = path.expanduser()
    if path.is_dir():
        return _read_directory(path, resize, channels, classes)
    if not path.exists():
        raise DataError(f"no data set and no path {str(path)!r}; {nearest(str(path), data_names())}")
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"{path}: no zip file, or one cut short; give a zip file or a folder (unpack other archives)"
        )
    return cached(path, f"{resize} {channels}", lambda: read_zip(path, resize=resize, channels=channels))


def _read_directory(
    path: Path, resize: tuple[int, int] | None, channels: int | None, classes: tuple[str, ...] | None
) -> _Pair:
    """The data set in a folder."""
    if holds_idx(path):
        return read_idx(path, classes=classes)
    if holds_cifar_batches(path):
        return read_cifar_batches(path)
    return read_folder(path, resize=resize, channels=channels)
