from __future__ import annotations

import subprocess
import sys
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


FULL = """if True:
    import resource, signal, sys, torch
    from pathlib import Path
    from tenfold.core.errors import RunError
    from tenfold.runs.checkpoint import Checkpoint
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        Checkpoint(Path(sys.argv[1])).save("training", {"large": torch.zeros(100_000)})
    except RunError as error:
        print(error)
"""
LARGE = """if True:
    import resource, sys, torch
    from pathlib import Path
    from tenfold.runs.checkpoint import Checkpoint
    checkpoint = Checkpoint(Path(sys.argv[1]))
    checkpoint.save("first", {"x": torch.zeros(1)})  # whatever the libraries take once
    state = {str(n): torch.ones(4 << 20) for n in range(16)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checkpoint.save("training", state)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
    del state
    checkpoint.load("training")
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


def printed(code: str, folder: Path) -> list[str]:
    made = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    return made.stdout.splitlines()


def test_a_full_disk_is_named_and_the_state_before_is_untouched(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    Checkpoint(tmp_path).save("training", {"step": 1})
    said = printed(FULL, tmp_path)
    assert said == [
        f"cannot write {tmp_path / 'training.pt'}: File too large; free space or choose another folder"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
    assert Checkpoint(tmp_path).load("training") == {"step": 1}


def test_a_large_state_is_not_held_in_memory_once_more(tmp_path: Path) -> None:
    """16 tensors of 16 MiB: a copy of one of them may be on its way, not of all."""
    assert all(int(more) < 64 << 20 for more in printed(LARGE, tmp_path))


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
