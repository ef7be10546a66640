from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from tenfold.core.errors import DataError
from tenfold.data.folder import read_folder, read_zip

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def packed(folder: Path, *, prefix: str = "") -> Path:
    """A zip file of `folder`, everything below `prefix`."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.fixture(params=["folder", "zip", "wrapped zip"])
def read(request, image_folder):
    """Reads `image_folder`, as it is when called, in one of the three forms."""

    def call(**options):
        if request.param == "folder":
            return read_folder(image_folder, **options)
        return read_zip(packed(image_folder, prefix="" if request.param == "zip" else "some/"), **options)

    return call


def test_images_labels_and_classes_belong_together(read):
    train, test = read()
    assert train.classes == test.classes == ("ant", "bee")
    assert train.images.shape == (6, 3, 5, 7)
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]
    assert train.images[3, :, 4, 6].tolist() == [10, 1, 2]
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.images[:, 0, 0, 0].tolist() == [100, 101, 110, 111]
    assert test.labels.tolist() == [0, 0, 1, 1]


def test_resize_and_channels_reach_both_splits(read):
    for split in read(resize=(4, 3), channels=1):
        assert split.images.shape[1:] == (1, 4, 3)


def test_val_stands_in_for_test_but_not_beside_it(read, image_folder):
    shutil.copytree(image_folder / "test", image_folder / "val")
    shutil.rmtree(image_folder / "val" / "ant")
    assert len(read()[1]) == 4
    shutil.rmtree(image_folder / "val")
    (image_folder / "test").rename(image_folder / "val")
    assert len(read()[1]) == 4


def test_other_files_are_passed_over_and_deeper_folders_read(read, image_folder, write_image):
    (image_folder / "README.md").write_text("about")
    (image_folder / "train" / "ant" / "notes.txt").write_text("about ants")
    (image_folder / "train" / "ant" / ".hidden.png").write_text("no image")
    (image_folder / "train" / ".cache").mkdir()
    write_image(image_folder / "train" / "ant" / "queens" / "q.png", (77, 1, 2))
    train, _ = read()
    assert train.images[:4, 0, 0, 0].tolist() == [0, 1, 2, 77]
    assert train.labels.tolist() == [0] * 4 + [1] * 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_split_is_named(read, image_folder, split):
    shutil.rmtree(image_folder / split)
    with pytest.raises(DataError, match=rf"no folder {split}/ .*lay images out"):
        read()


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_class_folder_is_named(read, image_folder, split):
    for file in (image_folder / split / "bee").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=f"{split}/bee holds no image"):
        read()


@pytest.mark.parametrize(("split", "word"), [("train", "test/ only"), ("test", "train/ only")])
def test_a_class_in_one_split_only_is_named(read, image_folder, split, word):
    shutil.rmtree(image_folder / split / "bee")
    with pytest.raises(DataError, match=f"class 'bee' is in {word}"):
        read()


def test_a_split_without_classes_is_named(read, image_folder, write_image):
    shutil.rmtree(image_folder / "train")
    write_image(image_folder / "train" / "stray.png", 0)
    with pytest.raises(DataError, match="train/ holds no class folder"):
        read()


def test_a_broken_image_is_named_with_its_place(read, image_folder):
    (image_folder / "test" / "bee" / "0.png").write_text("no image")
    with pytest.raises(DataError, match=r"images.*test/bee/0\.png: cannot be read"):
        read()


def test_several_sizes_need_resize(read, image_folder, write_image):
    write_image(image_folder / "train" / "bee" / "0.png", (10, 1, 2), (6, 7))
    with pytest.raises(DataError, match=r"differ in size.*train/bee/0\.png is 6x7; give resize"):
        read()
    assert read(resize=(5, 7))[0].images[3, :, 2, 3].tolist() == [10, 1, 2]


def test_linked_class_folders_are_read(image_folder, tmp_path):
    (image_folder / "train" / "bee").rename(tmp_path / "elsewhere")
    (image_folder / "train" / "bee").symlink_to(tmp_path / "elsewhere")
    assert len(read_folder(image_folder)[0]) == 6


def test_what_packing_programs_add_hides_nothing(image_folder):
    path = packed(image_folder, prefix="some/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("some/", b"")
        archive.writestr("__MACOSX/some/train/ant/._0.png", b"resource fork")
    assert len(read_zip(path)[0]) == 6


def test_a_damaged_zip_member_is_named(image_folder):
    path = packed(image_folder)
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT", content.index(b"train/bee/1.png"))
    content[place + 6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train/bee/1\.png: cannot be read .*CRC"):
        read_zip(path)


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_what_is_no_whole_zip_is_refused(image_folder, size):
    path = packed(image_folder)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"images\.zip: no zip file, or one cut short"):
        read_zip(path)


@pytest.mark.slow
def test_the_real_zip_holds_cifar10_in_order(real_data):
    with zipfile.ZipFile(real_data / "cifar10.zip") as archive:
        counts = [0, 0]
        for name in archive.namelist():
            counts[name.startswith("test/")] += name.endswith(".png")
    assert counts == [50_000, 10_000]
    train, test = read_zip(real_data / "cifar10.zip")
    assert (train.images.shape, test.images.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert train.classes == NAMES
    # the channel means that every paper on CIFAR-10 quotes: 0.4914, 0.4822, 0.4465
    means = torch.stack([train.images[:, c].float().mean() / 255 for c in range(3)])
    assert means.round(decimals=4).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-6)
