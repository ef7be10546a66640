from __future__ import annotations

import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tenfold.core.errors import DataError
from tenfold.data import folder, source
from tenfold.data.source import IMAGENET_MEAN, IMAGENET_STD, data_names, load_data


def write_idx(path: Path) -> Path:
    path.mkdir(parents=True)
    for split, count in (("train", 5), ("t10k", 3)):
        images, labels = np.zeros((count, 4, 5), np.uint8), np.arange(count, dtype=np.uint8)
        for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (path / f"{split}-{kind}").write_bytes(header + array.tobytes())
    return path


def pack(image_folder: Path) -> Path:
    return Path(shutil.make_archive(str(image_folder), "zip", image_folder))


@pytest.fixture(autouse=True)
def no_data_of_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("TENFOLD_DATA", raising=False)
    monkeypatch.setattr(source, "_SYSTEM", tmp_path / "system")


def test_rgb_and_grey_get_their_usual_preprocessing(image_folder):
    splits = load_data(str(image_folder))
    assert splits.preprocessing.mean == IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert splits.preprocessing.std == IMAGENET_STD == (0.229, 0.224, 0.225)
    grey = load_data(str(image_folder), channels=1)
    assert grey.train.images.shape == (6, 1, 5, 7)
    assert (grey.preprocessing.mean, grey.preprocessing.std) == ((0.5,), (0.5,))


def test_mean_and_std_are_taken_where_given(image_folder):
    splits = load_data(str(image_folder), mean=[0.1, 0.2, 0.3])
    assert splits.preprocessing.mean == (0.1, 0.2, 0.3)
    assert splits.preprocessing.std == IMAGENET_STD
    assert load_data(str(image_folder), std=(1, 2, 3)).preprocessing.std == (1, 2, 3)
    with pytest.raises(DataError, match=r"1 value\(s\) of mean and std, but the images have 3"):
        load_data(str(image_folder), mean=[0.5], std=[0.5])


@pytest.mark.parametrize("kind", ["folder", "zip", "idx", "digits"])
def test_resize_and_channels_reach_every_kind(image_folder, tmp_path, kind):
    name = {
        "folder": lambda: image_folder,
        "zip": lambda: pack(image_folder),
        "idx": lambda: write_idx(tmp_path / "i"),
        "digits": lambda: "digits",
    }[kind]()
    splits = load_data(str(name), resize=(6, 9), channels=3)
    assert splits.train.images.shape[1:] == splits.test.images.shape[1:] == (3, 6, 9)
    assert splits.preprocessing.mean == IMAGENET_MEAN


def test_a_zip_is_decoded_once(image_folder, monkeypatch):
    path = pack(image_folder)
    first = load_data(str(path))

    def refuse(*_args, **_options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(folder, "decode_all", refuse)
    again = load_data(str(path))
    assert torch.equal(first.train.images, again.train.images)
    assert torch.equal(first.test.labels, again.test.labels)
    for options in ({"resize": (4, 4)}, {"channels": 1}):
        with pytest.raises(AssertionError, match="decoded again"):
            load_data(str(path), **options)


def test_cifar_batches_are_told_apart_from_a_folder_by_their_train_file(tmp_path):
    (tmp_path / "train").write_text("text")
    with pytest.raises(DataError, match="no CIFAR batch"):
        load_data(str(tmp_path))


def test_names_are_looked_for_in_all_places(tmp_path, monkeypatch, own_cache):
    with pytest.raises(
        DataError, match=r"fashion-mnist: not found in .*dataset-fashion-mnist or give a path"
    ):
        load_data("fashion-mnist")
    write_idx(tmp_path / "system" / "fashion-mnist")
    assert load_data("fashion-mnist").train.classes[9] == "Ankle boot"
    shutil.move(tmp_path / "system" / "fashion-mnist", own_cache / "fashion-mnist")
    assert len(load_data("fashion-mnist").test) == 3
    shutil.move(own_cache / "fashion-mnist", tmp_path / "mine" / "fashion-mnist")
    monkeypatch.setenv("TENFOLD_DATA", str(tmp_path / "mine"))
    assert len(load_data("fashion-mnist").test) == 3


def test_a_named_zip_is_found(tmp_path, monkeypatch, image_folder):
    pack(image_folder).rename(tmp_path / "cifar10.zip")
    monkeypatch.setenv("TENFOLD_DATA", str(tmp_path))
    assert load_data("cifar10").train.classes == ("ant", "bee")


def test_every_name_is_known():
    for name in data_names():
        try:
            load_data(name)
        except DataError as error:
            assert "not found in" in str(error)  # noqa: PT017 (digits raise nothing)


def test_a_missing_path_or_a_misspelt_name_says_what_is_near():
    with pytest.raises(DataError, match="no data set and no path 'digit'; the nearest is digits"):
        load_data("digit")
    with pytest.raises(DataError, match="no path '/nowhere/at/all'"):
        load_data("/nowhere/at/all")


def test_a_text_file_is_no_zip(tmp_path):
    path = tmp_path / "data.zip"
    path.write_text("no zip at all")
    with pytest.raises(DataError, match=r"data\.zip: no zip file"):
        load_data(str(path))


def test_a_folder_of_something_else_says_how_to_lay_it_out(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="lay images out as train/<class>/"):
        load_data(str(tmp_path / "empty"))


def test_impossible_options_are_refused_before_anything_is_read():
    with pytest.raises(DataError, match="channels=2"):
        load_data("/nowhere", channels=2)
    with pytest.raises(DataError, match="resize"):
        load_data("/nowhere", resize=(0, 3))


def test_splits_that_differ_in_size_ask_for_resize(image_folder, write_image):
    for path in (image_folder / "test").rglob("*.png"):
        write_image(path, (1, 2, 3), (9, 9))
    with pytest.raises(DataError, match="give resize"):
        load_data(str(image_folder))


def test_grey_training_beside_colour_test_asks_for_channels(image_folder, write_image):
    for path in (image_folder / "train").rglob("*.png"):
        write_image(path, 3)
    with pytest.raises(DataError, match="channels"):
        load_data(str(image_folder))


@pytest.mark.slow
def test_the_real_zip_loads_in_time(real_data):
    start = time.perf_counter()
    load_data(str(real_data / "cifar10.zip"))
    first = time.perf_counter()
    splits = load_data(str(real_data / "cifar10.zip"))
    second = time.perf_counter()
    assert first - start < 25
    assert second - first < 1
    assert len(splits.test) == 10_000


def test_folders_of_several_sizes_are_read_with_resize(image_folder, write_image):
    write_image(image_folder / "train" / "bee" / "0.png", (1, 2, 3), (9, 9))
    for path in (image_folder, pack(image_folder)):
        assert load_data(str(path), resize=(4, 4)).train.images.shape == (6, 3, 4, 4)


def test_a_zip_with_foreign_members_is_read(image_folder):
    path = pack(image_folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/train/ant/._0.png", b"resource fork")
        archive.writestr("LICENSE", b"text")
    assert len(load_data(str(path)).train) == 6
