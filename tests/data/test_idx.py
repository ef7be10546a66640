from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from tenfold.core.errors import DataError
from tenfold.data.idx import holds_idx, read_idx, read_idx_file


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 5), dtype=np.uint8)


def labels(count: int) -> np.ndarray:
    return (np.arange(count) % 3).astype(np.uint8)


@pytest.fixture(params=["", ".gz"])
def folder(tmp_path: Path, request) -> Path:
    for split, count, seed in (("train", 6, 0), ("t10k", 4, 1)):
        for kind, array in (("images-idx3-ubyte", images(count, seed)), ("labels-idx1-ubyte", labels(count))):
            content = idx(array)
            name = f"{split}-{kind}{request.param}"
            (tmp_path / name).write_bytes(gzip.compress(content) if request.param else content)
    return tmp_path


def test_both_splits_come_as_they_were_written(folder):
    train, test = read_idx(folder)
    assert holds_idx(folder)
    assert np.array_equal(train.images[:, 0].numpy(), images(6, 0))
    assert np.array_equal(test.images[:, 0].numpy(), images(4, 1))
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert train.classes == test.classes == ("0", "1", "2")
    assert read_idx(folder, classes=("a", "b", "c"))[0].classes == ("a", "b", "c")


def test_the_other_spelling_is_found(tmp_path):
    for split, count in (("train", 6), ("t10k", 4)):
        (tmp_path / f"{split}-images.idx3-ubyte").write_bytes(idx(images(count, 0)))
        (tmp_path / f"{split}-labels.idx1-ubyte").write_bytes(idx(labels(count)))
    assert [len(split) for split in read_idx(tmp_path)] == [6, 4]


def test_a_missing_file_is_named(folder):
    for file in folder.glob("t10k-labels*"):
        file.unlink()
    with pytest.raises(DataError, match=r"no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte\.gz"):
        read_idx(folder)


def test_images_and_labels_of_different_number_are_refused(tmp_path):
    for split in ("train", "t10k"):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(images(6, 0)))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels(5)))
    with pytest.raises(DataError, match="6 train images but 5 labels"):
        read_idx(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (idx(labels(4)), "starts with 00 00 08 01, an IDX file of 3 axes of bytes with 00 00 08 03"),
        (b"\0\0\x0d\x03" + bytes(50), "starts with 00 00 0d 03"),
        (idx(images(2, 0))[:-1], r"39 bytes for shape \(2, 4, 5\)"),
        (idx(images(2, 0)) + b"x", r"41 bytes for shape \(2, 4, 5\)"),
        (idx(images(2, 0))[:9], "starts with"),
        (idx(images(0, 0)), "0 bytes for shape"),
    ],
)
def test_a_wrong_header_or_length_is_named(tmp_path, content, message):
    path = tmp_path / "some-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"some-idx3-ubyte: {message}"):
        read_idx_file(path, axes=3)


@pytest.mark.parametrize("content", [b"text", gzip.compress(idx(images(9, 0)))[:-30]])
def test_a_broken_gzip_file_is_named(tmp_path, content):
    path = tmp_path / "some-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"some-idx3-ubyte\.gz: cannot be read"):
        read_idx_file(path, axes=3)


def test_the_result_may_be_written_to(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(idx(labels(4)))
    read_idx_file(path, axes=1).fill_(7)
    assert torch.equal(read_idx_file(path, axes=1), torch.tensor([0, 1, 2, 0], dtype=torch.uint8))
