from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenfold.core import atomic
from tenfold.core.atomic import remove_leftovers, write_bytes, write_text
from tenfold.core.errors import RunError

SOURCE = Path(atomic.__file__).parents[2]
FULL = """
import resource, signal, sys
from tenfold.core.errors import RunError
from tenfold.core.atomic import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(sys.argv[1], b"n" * 1001)
except RunError as error:
    print(error, end="")
write_bytes(sys.argv[2], b"n" * 1000)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writes_and_replaces(tmp_path: Path) -> None:
    assert write_bytes(tmp_path / "a", b"old\r\n") == tmp_path / "a"
    write_text(str(tmp_path / "b"), "ä\n")
    assert contents(tmp_path) == {"a": b"old\r\n", "b": "ä\n".encode()}
    write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"new", "b": "ä\n".encode()}


def test_others_may_read_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        path = write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_file_then_rename_then_folder_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, dict[str, int]]] = []

    def fsync(handle: int) -> None:
        names = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
        seen.append((stat.S_ISDIR(os.fstat(handle).st_mode), names))

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(tmp_path / "a", b"123")
    (of_folder_1, first), (of_folder_2, second) = seen
    assert (of_folder_1, of_folder_2) == (False, True)
    assert list(first.values()) == [3]  # all of it has reached the system
    assert "a" not in first
    assert second == {"a": 3}


def test_full_disk_in_another_process(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk where none can be mounted."""
    (tmp_path / "a").write_bytes(b"old")
    call = [sys.executable, "-c", FULL, str(tmp_path / "a"), str(tmp_path / "b")]
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert (
        done.stdout == f"cannot write {tmp_path / 'a'}: File too large; free space or choose another folder"
    )
    assert contents(tmp_path) == {"a": b"old", "b": b"n" * 1000}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    call = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(call, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(tiny_disk: Path) -> None:
    write_bytes(tiny_disk / "a", b"old")
    with pytest.raises(RunError, match=r"disk/a: No space left on device; free space"):
        write_bytes(tiny_disk / "a", b"n" * 100_000)
    assert contents(tiny_disk) == {"a": b"old"}
    write_bytes(tiny_disk / "a", b"new")  # the room was given back
    assert contents(tiny_disk) == {"a": b"new"}


def test_interrupted_between_writing_and_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}


def test_old_file_is_there_until_the_new_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail(_source: Path, _target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(RunError, match="a: Input/output error"):
        write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}


def test_missing_folder_and_folder_as_target(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none/a: No such file or directory"):
        write_bytes(tmp_path / "none" / "a", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=r"folder: Is a directory"):
        write_bytes(tmp_path / "folder", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_killed_writer_leaves_a_file_that_is_removed(tmp_path: Path) -> None:
    died = "import os; os.fsync = lambda handle: os._exit(9)\nfrom tenfold.core.atomic import write_bytes\n"
    died += f"write_bytes({str(tmp_path / 'a')!r}, b'new')"
    write_bytes(tmp_path / "a", b"old")
    (tmp_path / ".hidden").touch()
    (tmp_path / "b.tmp").touch()
    subprocess.run([sys.executable, "-c", died], env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False)
    assert len(contents(tmp_path)) == 4
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == {"a": b"old", ".hidden": b"", "b.tmp": b""}
