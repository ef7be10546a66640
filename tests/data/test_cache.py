from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tenfold.data import cache
from tenfold.data.cache import cache_directory, cached
from tenfold.data.dataset import Dataset


class Decoder:
    """Counts its calls and gives new pixels at each."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> tuple[Dataset, Dataset]:
        self.calls += 1
        images = torch.full((3, 1, 2, 2), self.calls, dtype=torch.uint8)
        train = Dataset(images, torch.tensor([0, 1, 1]), ("a/b", "ü"))
        return train, train.subset(torch.tensor([2, 0]))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.zip"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 10**18))
    return path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_second_call_gives_the_same_without_decoding(source):
    decode = Decoder()
    first, second = cached(source, "x", decode), cached(source, "x", decode)
    assert decode.calls == 1
    for before, after in zip(first, second, strict=True):
        assert torch.equal(before.images, after.images)
        assert torch.equal(before.labels, after.labels)
        assert before.classes == after.classes


def test_size_time_and_options_each_ask_for_another_decoding(source, own_cache):
    decode = Decoder()
    cached(source, "x", decode)
    os.utime(source, ns=(0, 10**18 + 1))
    cached(source, "x", decode)
    assert decode.calls == 2
    source.write_bytes(b"123456")
    os.utime(source, ns=(0, 10**18 + 1))
    cached(source, "x", decode)
    assert decode.calls == 3
    assert len(files(own_cache)) == 1  # the old one is replaced, not left behind
    cached(source, "y", decode)
    assert decode.calls == 4
    assert cached(source, "x", decode)[0].images[0, 0, 0, 0] == 3


def test_two_files_of_equal_size_and_time_are_kept_apart(source, tmp_path):
    other = tmp_path / "other.zip"
    other.write_bytes(b"54321")
    os.utime(other, ns=(0, 10**18))
    decode = Decoder()
    cached(source, "x", decode)
    cached(other, "x", decode)
    assert [cached(path, "x", decode)[0].images[0, 0, 0, 0] for path in (source, other)] == [1, 2]
    assert decode.calls == 2


@pytest.mark.parametrize("damage", [lambda _: b"", lambda c: c[:-1], lambda c: c[:20], lambda _: b"none"])
def test_a_broken_cache_is_made_again(source, own_cache, damage):
    decode = Decoder()
    cached(source, "x", decode)
    (file,) = files(own_cache)
    file.write_bytes(damage(file.read_bytes()))
    assert cached(source, "x", decode)[0].images[0, 0, 0, 0] == 2
    cached(source, "x", decode)
    assert decode.calls == 2


def test_a_cache_that_cannot_be_made_is_no_error(source, monkeypatch):
    monkeypatch.setenv("TENFOLD_CACHE", str(source / "below a file"))
    decode = Decoder()
    assert len(cached(source, "x", decode)[0]) == 3
    assert len(cached(source, "x", decode)[0]) == 3
    assert decode.calls == 2


def test_a_full_disk_is_no_error_and_leaves_nothing(source, own_cache, monkeypatch):
    def half(_tensors: object, path: Path, _metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "save_file", half)
    assert len(cached(source, "x", Decoder())[0]) == 3
    assert files(own_cache) == []


def test_writing_into_loaded_images_leaves_the_cache_alone(source):
    decode = Decoder()
    cached(source, "x", decode)
    cached(source, "x", decode)[0].images.fill_(200)
    assert cached(source, "x", decode)[0].images[0, 0, 0, 0] == 1
    assert decode.calls == 1


def test_the_directory_is_the_environments_or_the_usual_one(monkeypatch, own_cache):
    assert cache_directory() == own_cache
    monkeypatch.delenv("TENFOLD_CACHE")
    assert cache_directory() == Path.home() / ".cache" / "tenfold"
