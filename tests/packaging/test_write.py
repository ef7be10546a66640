"""A package comes to the disk whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from packages import write_run
from tenfold.core.errors import ExportError, RunError, UnknownNameError
from tenfold.packaging import targets
from tenfold.packaging.contents import Contents
from tenfold.packaging.options import PackOptions
from tenfold.packaging.targets import TARGETS, Target
from tenfold.packaging.write import write_package
from tenfold_runner.manifest import MANIFEST, files_below
from tenfold_runner.package import Package


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return Contents.of(write_run(tmp_path_factory.mktemp("write") / "run"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "packages" / "[one] *"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def beside(out: Path) -> list[str]:
    return [path.name for path in out.parent.iterdir()]


def register(monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    monkeypatch.setitem(targets.TARGETS, target.name, target)


def broken(contents: Contents, folder: Path, options: PackOptions) -> None:
    (folder / "half").write_text("done")
    raise ExportError("no compiler")


def test_equal_contents_make_equal_packages_in_the_place_of_the_old_one(
    contents: Contents, out: Path
) -> None:
    first = bytes_of(write_package("folder", contents, out))
    assert bytes_of(write_package("folder", contents, out)) == first
    assert beside(out) == [out.name]
    Package.open(out)
    newer = Contents(contents.model, {**contents.card, "version": "2"})
    write_package("folder", newer, out)
    assert Package.open(out).card.version == "2"
    assert beside(out) == [out.name]


def test_a_build_that_fails_leaves_the_old_package_and_nothing_else(
    contents: Contents, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package("folder", contents, out)
    before = bytes_of(out)
    register(monkeypatch, Target("broken", broken))
    with pytest.raises(ExportError, match="no compiler"):
        write_package("broken", contents, out)
    register(monkeypatch, Target("unproven", TARGETS["folder"].build, prove=broken))
    with pytest.raises(ExportError, match="no compiler"):
        write_package("unproven", contents, out)
    assert bytes_of(out) == before
    assert beside(out) == [out.name]


_KILLED = """
import sys
from pathlib import Path
from tenfold.packaging import targets, write
from tenfold.packaging.contents import Contents

def build(contents, folder, options):
    (folder / "half").write_text("done")
    print("building", flush=True)
    sys.stdin.read()

targets.TARGETS["slow"] = targets.Target("slow", build)
write.write_package("slow", Contents(b"", {}), Path(sys.argv[1]))
"""


def test_what_a_killed_build_leaves_goes_with_the_next_one_but_not_what_a_living_one_uses(
    contents: Contents, out: Path
) -> None:
    write_package("folder", contents, out)
    before = bytes_of(out)
    builds = [
        subprocess.Popen(
            [sys.executable, "-c", _KILLED, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for build in builds:
        assert build.stdout is not None
        assert build.stdout.readline() == "building\n"
    assert len(beside(out)) == 3
    assert bytes_of(out) == before
    builds[0].send_signal(signal.SIGKILL)
    builds[0].wait()
    write_package("folder", contents, out)
    assert len(beside(out)) == 2
    builds[1].kill()
    builds[1].wait()
    write_package("folder", contents, out)
    assert beside(out) == [out.name]
    for build in builds:
        for pipe in (build.stdin, build.stdout):
            assert pipe is not None
            pipe.close()


def test_a_build_that_was_killed_between_the_two_renames_is_undone(contents: Contents, out: Path) -> None:
    write_package("folder", contents, out)
    out.rename(out.with_name(f".{out.name}.0123.old"))
    with pytest.raises(ExportError, match="no option one-file"):
        write_package("folder", contents, out, PackOptions(one_file=True))
    write_package("folder", contents, out)
    assert beside(out) == [out.name]


def test_a_folder_of_the_user_is_never_replaced(contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("dear")
    with pytest.raises(RunError, match=r"cannot write a package to .*photos: it exists and is none"):
        write_package("folder", contents, tmp_path / "photos")
    (tmp_path / "file").write_text("dear")
    with pytest.raises(RunError, match="it exists and is none"):
        write_package("folder", contents, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    out = write_package("folder", contents, tmp_path / "empty")
    (out / "tenfold_runner" / "__pycache__").mkdir()
    (out / "tenfold_runner" / "__pycache__" / "card.pyc").write_text("Python's own")
    write_package("folder", contents, out)
    (out / "classes.csv").write_text("dear")
    with pytest.raises(RunError, match=r"classes.csv is not part of it; move it away"):
        write_package("folder", contents, out)
    (out / "classes.csv").unlink()
    (out / MANIFEST).write_text("{}")
    with pytest.raises(RunError, match="is no manifest"):
        write_package("folder", contents, out)


def test_places_that_cannot_be_written(contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write the package .*; free space or choose another --out"):
        write_package("folder", contents, tmp_path / "file" / "out")
    with pytest.raises(RunError, match="cannot write the package"):
        write_package("folder", contents, Path("/proc/nowhere/out"))


def test_wishes_that_a_target_has_not_are_refused(contents: Contents, out: Path) -> None:
    with pytest.raises(ExportError, match="a package 'folder' has no option one-file: leave it out"):
        write_package("folder", contents, out, PackOptions(one_file=True))
    with pytest.raises(UnknownNameError, match="no target 'foldr'; the nearest is folder"):
        write_package("foldr", contents, out)
    assert not out.parent.exists()


def test_icons(contents: Contents, out: Path, tmp_path: Path) -> None:
    Image.new("RGB", (640, 320), (200, 0, 0)).save(tmp_path / "icon.jpg")
    write_package("folder", contents, out, PackOptions(icon=tmp_path / "icon.jpg"))
    icon = Package.open(out).icon
    assert icon is not None
    with Image.open(icon) as picture:
        assert picture.size == (256, 256)
        assert picture.getpixel((128, 20))[3] == 0
        assert picture.getpixel((128, 128)) == pytest.approx((200, 0, 0, 255), abs=3)
    Image.new("L", (100, 400)).save(tmp_path / "tall.png")
    write_package("folder", contents, out, PackOptions(icon=tmp_path / "tall.png"))
    with Image.open(out / "icon.png") as picture:
        assert picture.getbbox() == (96, 0, 160, 256)
    (tmp_path / "icon.png").write_text("no")
    with pytest.raises(ExportError, match=r"icon .*icon.png: cannot be read as a picture"):
        write_package("folder", contents, out, PackOptions(icon=tmp_path / "icon.png"))
    with pytest.raises(ExportError, match="No such file"):
        write_package("folder", contents, out, PackOptions(icon=tmp_path / "gone.png"))


def test_a_passphrase_is_nowhere_to_be_seen(contents: Contents, out: Path) -> None:
    options = PackOptions(passphrase="correct horse")
    assert "horse" not in repr(options)
    write_package("folder", contents, out, options)
    assert all(b"horse" not in data for data in bytes_of(out).values())
    assert contents.model not in bytes_of(out).values()
