"""Image folders, as they lie on disk or in a zip file: `train/<class>/*` and `test/<class>/*` (or `val/`)."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from tenfold.core.errors import DataError
from tenfold.data.adapt import check_options
from tenfold.data.dataset import Dataset
from tenfold.data.decode import decode_all
from tenfold_runner.images import SUFFIXES

__all__ = ["read_folder", "read_zip"]

_TEST_NAMES = ("test", "val", "valid", "validation")

Listing = Mapping[str, list[str]]
"""Names of the image files by class, both in alphabetical order."""


Decode = Callable[[Sequence[str]], Tensor]
"""From names of files to images (n, channels, height, width)."""


def read_folder(
    path: Path, *, resize: tuple[int, int] | None = None, channels: int | None = None
) -> tuple[Dataset, Dataset]:
    """Read `path`/train/<class>/ and `path`/test/<class>/ (or `val`), any depth below a class.

    Args:
        path: the folder that holds both splits. Where it has `test` and `val`, `test` is read.
        resize: (height, width), bilinear; the proportions of the image are not kept. None asks that
            all images have one size.
        channels: 1 (grey) or 3 (RGB); None takes 1 if all images are grey, else 3.

    Returns:
        (train, test), sorted by class; classes are the folders' names in alphabetical order.

    Raises:
        DataError: a split is missing, a class folder is empty or in one split only, an image is
            broken, or sizes differ and `resize` is None.
    """
    check_options(resize, channels)
    files, folders = _walk(path)

    def read(name: str) -> bytes:
        return (path / name).read_bytes()

    decode = partial(decode_all, read=read, resize=resize, channels=channels)
    return _read(str(path), files, folders, decode)


def read_zip(
    path: Path, *, resize: tuple[int, int] | None = None, channels: int | None = None
) -> tuple[Dataset, Dataset]:
    """Read the layout of `read_folder` straight from a zip file, nothing unpacked to disk.

    One folder around everything, as packing programs like to add, is looked through.

    Args:
        path: the zip file.
        resize: as for `read_folder`.
        channels: as for `read_folder`.

    Returns:
        (train, test), as `read_folder`.

    Raises:
        DataError: the file is no zip file, or as for `read_folder`.
    """
    check_options(resize, channels)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
            prefix = _common_folder(names)

            def read(name: str) -> bytes:
                return archive.read(prefix + name)

            files = [name[len(prefix) :] for name in names if not name.endswith("/")]
            folders = [name[len(prefix) : -1] for name in names if name.endswith("/") and name != prefix]
            decode = partial(decode_all, read=read, resize=resize, channels=channels)
            return _read(str(path), files, folders, decode)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path}: no zip file, or one cut short ({error}); get it again or give a folder"
        ) from None


def _walk(path: Path) -> tuple[list[str], list[str]]:
    """Files and folders below the splits in `path`, relative to it; links to folders are followed."""
    try:
        tops = [top.name for top in path.iterdir() if top.is_dir()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); give a folder that can") from None
    files, folders = [], list(tops)
    for top in {"train", *_TEST_NAMES}.intersection(tops):
        for root, inner, names in os.walk(path / top, followlinks=True):
            place = Path(root).relative_to(path).as_posix()
            files += [f"{place}/{name}" for name in names]
            folders += [f"{place}/{name}" for name in inner]
    return files, folders


def _common_folder(names: Iterable[str]) -> str:
    """The one folder around everything ("cifar10/"), or nothing if the splits lie on top."""
    tops = {name.partition("/")[0] for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 and "train" not in tops else ""


def _read(source: str, files: list[str], folders: list[str], decode: Decode) -> tuple[Dataset, Dataset]:
    """Both splits of a set of files, whatever holds them."""
    parents = (name.rpartition("/")[0] for name in files)
    splits = {name.partition("/")[0] for name in [*folders, *parents] if name}
    test_name = next((name for name in _TEST_NAMES if name in splits), None)
    if "train" not in splits or test_name is None:
        missing = "train/" if "train" not in splits else "test/ (or val/)"
        met = ", ".join(sorted(splits)) or "none"
        raise DataError(
            f"{source}: no folder {missing} with class folders in it (met: {met}); "
            "lay images out as train/<class>/ and test/<class>/"
        )
    train, test = (_list(source, split, files, folders) for split in ("train", test_name))
    lonely = sorted(train.keys() ^ test.keys())
    if lonely:
        where = "train" if lonely[0] in train else test_name
        raise DataError(
            f"{source}: class {lonely[0]!r} is in {where}/ only; both splits need the same class folders"
        )
    return _dataset(source, train, decode), _dataset(source, test, decode)


def _list(source: str, split: str, files: Iterable[str], folders: Iterable[str]) -> Listing:
    """The image files of one split by class."""
    classes: dict[str, list[str]] = {}
    for folder in folders:
        match PurePosixPath(folder).parts:
            case (top, name) if top == split and not name.startswith("."):
                classes[name] = []
    for file in files:
        match PurePosixPath(file).parts:
            case (top, name, *_, last) if top == split and not (name[0] == "." or last[0] == "."):
                images = classes.setdefault(name, [])
                if PurePosixPath(last).suffix.lower() in SUFFIXES:
                    images.append(file)
    for name, images in classes.items():
        if not images:
            raise DataError(
                f"{source}: {split}/{name} holds no image; fill the folder or remove it in both splits"
            )
    if not classes:
        raise DataError(f"{source}: {split}/ holds no class folder; lay images out as {split}/<class>/")
    return {name: sorted(classes[name]) for name in sorted(classes)}


def _dataset(source: str, listing: Listing, decode: Decode) -> Dataset:
    """Decode one split."""
    names = [name for images in listing.values() for name in images]
    labels = [label for label, images in enumerate(listing.values()) for _ in images]
    try:
        images = decode(names)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    return Dataset(images, torch.tensor(labels), tuple(listing))
