from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tenfold.core.errors import RunError
from tenfold.runs.checkpoint import Checkpoint


def test_gives_back_the_bits(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a" / "checkpoint")
    state = {
        "step": 3,
        "rate": 0.1 + 0.2,
        "text": "x",
        "tensors": [torch.randn(3), torch.tensor(7)],
        "none": None,
    }
    checkpoint.place("training").save(state)
    found = Checkpoint(tmp_path / "a" / "checkpoint").place("training").load()
    assert found is not None
    assert {k: v for k, v in found.items() if k != "tensors"} == {
        k: v for k, v in state.items() if k != "tensors"
    }
    assert all(torch.equal(a, b) for a, b in zip(found["tensors"], state["tensors"], strict=True))


def test_nothing_is_kept_without_a_folder_or_by_a_reader(tmp_path: Path) -> None:
    none = Checkpoint(None)
    none.save("a", {"x": 1})
    assert none.load("a") is None
    Checkpoint(tmp_path / "c", writes=False).save("a", {"x": 1})
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 half a zip"])
def test_a_broken_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training.pt").write_bytes(content)
    with pytest.raises(RunError, match=r"training\.pt.*remove it, and its phase begins anew"):
        Checkpoint(tmp_path).load("training")


def test_foreign_objects_are_not_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "done"),))  # type: ignore[return-value]

    torch.save({"x": Evil()}, tmp_path / "training.pt")
    with pytest.raises(RunError, match="cannot read"):
        Checkpoint(tmp_path).load("training")
    assert not (tmp_path / "done").exists()


def test_a_list_is_no_state(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "training.pt")
    with pytest.raises(RunError, match="it holds no state"):
        Checkpoint(tmp_path).load("training")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make"):
        Checkpoint(tmp_path / "file" / "checkpoint").save("a", {})
