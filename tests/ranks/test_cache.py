from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tenfold.ranks.cache import DiskCache

RISES = {(1,): 0.1, (2, 3): 1 / 3, (4, 5, 6): 1e-300}
KERNEL = torch.arange(24, dtype=torch.float64).reshape(2, 3, 2, 2)


def test_what_is_put_comes_back_to_the_bit(tmp_path: Path):
    DiskCache(tmp_path / "deep" / "er").put("key", RISES)
    assert DiskCache(tmp_path / "deep" / "er").get("key") == RISES
    assert DiskCache(tmp_path / "deep" / "er").get("other") == {}
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["key.json"]


def test_a_second_put_replaces_the_first(tmp_path: Path):
    cache = DiskCache(tmp_path)
    cache.put("key", RISES)
    cache.put("key", {(7,): 0.5})
    assert cache.get("key") == {(7,): 0.5}


def test_the_key_depends_on_all_that_a_fit_depends_on(tmp_path: Path):
    cache = DiskCache(tmp_path)
    other = KERNEL.clone()
    other[1, 2, 1, 1] += 1e-12
    keys = [
        cache.key((KERNEL,), "btd", 25),
        cache.key((KERNEL,), "cp", 25),
        cache.key((KERNEL,), "btd", 8),
        cache.key((other,), "btd", 25),
        cache.key((KERNEL.reshape(2, 3, 4, 1),), "btd", 25),
        cache.key((KERNEL.reshape(4, 3, 2, 1),), "btd", 25),
        cache.key((KERNEL, KERNEL), "btd", 25),
    ]
    assert len(set(keys)) == len(keys)
    strided = KERNEL.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert not strided.is_contiguous()
    assert cache.key((strided,), "btd", 25) == keys[0]


@pytest.mark.parametrize(
    "text", ["", "[[[1], 0.5], [[2]", "null", "[1, 2]", '{"a": 1}', '[[[1], "x"]]', "\x00\xff", "[[3, 0.5]]"]
)
def test_a_torn_or_foreign_file_is_no_error(tmp_path: Path, text: str):
    (tmp_path / "key.json").write_text(text, encoding="latin-1")
    cache = DiskCache(tmp_path)
    assert cache.get("key") == {}
    cache.put("key", RISES)
    assert cache.get("key") == RISES


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    cache = DiskCache(tmp_path / "file")
    cache.put("key", RISES)
    assert cache.get("key") == {}
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_write_that_fails_leaves_no_half_file(tmp_path: Path):
    (tmp_path / "key.json").mkdir()  # nothing can be renamed to it
    cache = DiskCache(tmp_path)
    cache.put("key", RISES)
    assert cache.get("key") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]
