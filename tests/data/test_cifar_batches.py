from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tenfold.core.errors import DataError
from tenfold.data.cifar_batches import holds_cifar_batches, read_cifar_batches


def rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def python2_array(array: np.ndarray) -> bytes:
    """The opcodes with which Python 2 and numpy 1 wrote the real files."""
    size = len(array).to_bytes(1, "little")
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01K"
        + size
        + b"M\0\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"
        + array.nbytes.to_bytes(4, "little")
        + array.tobytes()
        + b"tb"
    )


def python2_batch(array: np.ndarray, marks: list[int]) -> bytes:
    numbers = b"".join(b"K" + bytes([mark]) for mark in marks)
    return b"\x80\x02}(U\x04data" + python2_array(array) + b"U\x06labels](" + numbers + b"eu."


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}").write_bytes(python2_batch(rows(2, number), [number - 1, 0]))
    (tmp_path / "test_batch").write_bytes(python2_batch(rows(3, 9), [4, 1, 2]))
    names = [b"ape", b"bat", b"cat", b"dog", b"eel"]
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({b"label_names": names}, 2))
    return tmp_path


def test_cifar10_as_python2_wrote_it(ten):
    train, test = read_cifar_batches(ten)
    assert holds_cifar_batches(ten)
    assert train.images.shape == (10, 3, 32, 32)
    # a row is 1024 red, 1024 green, 1024 blue values, each plane row by row
    assert train.images[4, 2, 5, 7] == rows(2, 3)[0, 2 * 1024 + 5 * 32 + 7]
    assert train.labels.tolist() == [0, 0, 1, 0, 2, 0, 3, 0, 4, 0]
    assert test.labels.tolist() == [4, 1, 2]
    assert train.classes == test.classes == ("ape", "bat", "cat", "dog", "eel")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_cifar100_as_python3_writes_it(tmp_path, protocol):
    for name, count, seed in (("train", 4, 0), ("test", 2, 1)):
        batch = {"data": rows(count, seed), "fine_labels": list(range(count)), "coarse_labels": [9] * count}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol))
    train, test = read_cifar_batches(tmp_path)
    assert holds_cifar_batches(tmp_path)
    assert np.array_equal(train.images.numpy().reshape(4, 3072), rows(4, 0))
    assert test.labels.tolist() == [0, 1]
    assert train.classes == ("0", "1", "2", "3")


class Malicious:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (getattr, "getattr"), (np.load, "load"), (exec, "exec")],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_batch_never_runs_code(ten, tmp_path, function, name, protocol):
    proof = tmp_path / "proof"
    attack = Malicious(function, f"touch {proof}")
    (ten / "data_batch_3").write_bytes(pickle.dumps({"data": attack}, protocol))
    with pytest.raises(DataError, match=rf"data_batch_3: no CIFAR batch \(it asks for \S+\.{name}"):
        read_cifar_batches(ten)
    assert not proof.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a text file",
        python2_batch(rows(2, 0), [0, 1])[:100],
        pickle.dumps([1, 2]),
        pickle.dumps({"data": rows(2, 0), "labels": [1]}),
        pickle.dumps({"data": rows(2, 0)[:, :100], "labels": [1, 2]}),
        pickle.dumps({"data": rows(2, 0).astype(float), "labels": [1, 2]}),
        pickle.dumps({"data": rows(2, 0), "labels": ["a", "b"]}),
        pickle.dumps({"labels": [1, 2]}),
    ],
)
def test_what_is_no_batch_is_named(ten, content):
    (ten / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2: .*get the file again"):
        read_cifar_batches(ten)


def test_a_missing_batch_is_named(ten):
    (ten / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch: missing"):
        read_cifar_batches(ten)
