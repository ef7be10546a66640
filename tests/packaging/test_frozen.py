"""Programs that need no Python, tried where there is none."""

from __future__ import annotations

import csv
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from display import hidden_display, pixels_of, screenshot
from dragging import start_dragging
from packages import bare_root, run_in, write_digits, write_run
from tenfold.core.errors import ExportError
from tenfold.packaging import frozen
from tenfold.packaging.contents import Contents
from tenfold.packaging.measure import measure
from tenfold.packaging.options import PackOptions
from tenfold.packaging.write import write_package
from tenfold_runner.card import Card
from tenfold_runner.classify import Classifier
from tenfold_runner.manifest import MANIFEST, files_below
from tenfold_runner.window.style import FIRST

PASSPHRASE = "correct horse battery"
NAME = "Ziffern-8x8"
CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin") or "chroot"


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    return Contents.of(write_run(tmp_path_factory.mktemp("frozen") / "run"), name="Ziffern 8x8")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory without Python, with images in it; the packages of this module go there."""
    root = bare_root(tmp_path_factory.mktemp("root"))
    write_digits(root / "images", 100)
    return root


@pytest.fixture(scope="module")
def folder(contents: Contents, root: Path) -> Path:
    return write_package("cli", contents, root / "folder")


@pytest.fixture(scope="module")
def one_file(contents: Contents, root: Path) -> Path:
    return write_package("cli", contents, root / "one", PackOptions(one_file=True))


@pytest.fixture(scope="module")
def answers(contents: Contents, root: Path) -> dict[str, list[str]]:
    """What the network says here: lines of a table."""
    path = root / "tmp" / "card.json"
    path.write_text(json.dumps(contents.card))
    classifier = Classifier(Card.read(path), contents.model)
    found = {image.name: classifier.classify(image, 1).ranked[0] for image in (root / "images").iterdir()}
    return {name: [label, f"{chance:.6f}"] for name, (label, chance) in found.items()}


def check_table(root: Path, program: str, answers: dict[str, list[str]]) -> None:
    told = run_in(root, program, "--folder", "/images", "--csv", "/tmp/table.csv")
    assert told.returncode == 0, told.stderr
    assert told.stdout == "100 images, 0 of them could not be read; table: /tmp/table.csv\n"
    with (root / "tmp" / "table.csv").open(encoding="utf-8") as file:
        assert {row["file"]: [row["class"], row["probability"]] for row in csv.DictReader(file)} == answers


def flipped(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.slow
def test_a_folder_answers_the_same_where_no_python_exists(
    root: Path, folder: Path, answers: dict[str, list[str]]
) -> None:
    check_table(root, f"/folder/{NAME}", answers)
    assert len({label for label, _ in answers.values()}) > 3
    told = run_in(root, f"/folder/{NAME}", "--card", "--json")
    assert json.loads(told.stdout)["after"]["accuracy"] == 97.25
    told = run_in(root, f"/folder/{NAME}")
    assert (told.returncode, told.stderr) == (
        2,
        "error: this program has no window; see --help for what it does\n",
    )
    assert run_in(root, "/usr/bin/python3", "-V").returncode == 127


@pytest.mark.slow
def test_one_file_answers_the_same_and_leaves_nothing_behind(
    root: Path, one_file: Path, answers: dict[str, list[str]]
) -> None:
    check_table(root, f"/one/{NAME}", answers)
    assert sorted(path.name for path in (root / "tmp").iterdir()) in (
        ["card.json", "table.csv"],
        ["table.csv"],
    )
    assert sorted(path.name for path in one_file.iterdir()) == ["LICENSES", NAME, MANIFEST]


@pytest.mark.slow
def test_sizes_and_what_they_need(folder: Path, one_file: Path) -> None:
    found, packed = measure(folder), measure(one_file)
    assert found.size_bytes == sum((folder / name).stat().st_size for name in files_below(folder))
    assert found.size_bytes <= 105_000_000
    assert not list(folder.rglob("unicodedata*"))  # a megabyte that passphrases need
    assert (one_file / NAME).stat().st_size <= 40_000_000
    assert found.largest[0][0].startswith("_internal/onnxruntime/capi/onnxruntime_pybind11_state")
    assert packed.largest[0][0].startswith(f"{NAME}: onnxruntime/capi/onnxruntime_pybind11_state")
    here = tuple(int(part) for part in platform.libc_ver()[1].split("."))
    assert (2, 17) <= found.glibc <= here
    assert packed.glibc == found.glibc
    names = {path.name.rpartition("-")[0] for path in (folder / "LICENSES").iterdir()}
    assert {"Python", "numpy", "onnxruntime", "pillow", "pyinstaller", "tenfold"} <= names
    # what the system lent: OpenSSL, libffi, the C++ library, zlib
    lent = [path.name for path in (folder / "LICENSES").iterdir() if (path / "copyright").is_file()]
    assert len([name for name in lent if name.startswith(("libssl", "libffi", "libstdc++", "zlib"))]) == 4
    assert not (folder / "LICENSES" / "UNKNOWN.txt").exists()
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


@pytest.mark.slow
@pytest.mark.long  # for a machine at rest: beside another process of tests it took 0.43 s instead of 0.25
def test_an_answer_takes_a_moment(root: Path, folder: Path) -> None:
    used = []
    for _ in range(6):  # the first one reads the files from the disk
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [folder / NAME, "--image", root / "images" / "0000.png"], check=True, capture_output=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # on an idle machine time passes no faster than this; another process's share is none of ours
    assert min(used) <= 0.4


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["model.onnx", "card.json", "numpy/_core/_multiarray_umath", "libscipy_openblas", "_imaging."]
)
def test_a_flipped_bit_in_a_folder_is_refused(root: Path, folder: Path, name: str) -> None:
    path = next(folder / found for found in sorted(files_below(folder)) if name in found)
    place = path.stat().st_size // 2
    flipped(path, place)
    told = run_in(root, f"/folder/{NAME}", "--image", "/images/0000.png")
    flipped(path, place)
    assert (told.returncode, told.stdout) == (2, "")
    assert f"{path.name} was changed: " in told.stderr
    assert told.stderr.endswith("; get the package again\n")


@pytest.mark.slow
def test_a_flipped_bit_in_one_file_is_refused(root: Path, one_file: Path) -> None:
    size = (one_file / NAME).stat().st_size
    for part in (0.1, 0.3, 0.5, 0.7, 0.9, 0.9999999):
        flipped(one_file / NAME, int(size * part))
        told = run_in(root, f"/one/{NAME}", "--image", "/images/0000.png")
        flipped(one_file / NAME, int(size * part))
        assert told.returncode != 0
        assert told.stdout == ""
        # what is packed is checked as it is unpacked, the rest by the seal
        assert "was changed after it was made" in told.stderr or "Failed to extract" in told.stderr
    assert run_in(root, f"/one/{NAME}", "--image", "/images/0000.png").returncode == 0


@pytest.mark.slow
def test_a_package_that_cannot_be_written_to_works(root: Path, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    root.chmod(0o755)
    told = subprocess.run(
        [CHROOT, "--userspec=65534:65534", root, f"/folder/{NAME}", "--image", "/images/0000.png"],
        capture_output=True,
        text=True,
        env={},
        check=False,
    )
    assert told.returncode == 0, told.stderr


@pytest.mark.slow
def test_a_protected_window_without_python(contents: Contents, root: Path, tmp_path: Path) -> None:
    """It needs libxcb, the settings of fontconfig and a font, which every desktop has."""
    options = PackOptions(passphrase=PASSPHRASE)
    package = write_package("desktop", contents, root / "window", options)
    assert not list(package.rglob("model.onnx"))
    names = {path.name.rpartition("-")[0] for path in (package / "LICENSES").iterdir()}
    assert {"cryptography", "argon2-cffi", "argon2-cffi-bindings", "cffi", "tkinterdnd2"} <= names
    command = [f"/window/{NAME}", "--image", "/images/0000.png", "--passphrase-stdin"]
    assert run_in(root, *command, stdin=f"{PASSPHRASE}\n").returncode == 0
    assert "wrong passphrase" in run_in(root, *command, stdin="wrong\n").stderr
    told = run_in(root, f"/window/{NAME}")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(
        "error: the window cannot be opened (libxcb.so.1: cannot open shared object"
    )
    assert told.stderr.endswith(f"use the command line: {NAME} --image FILE, or --help\n")
    _put_desktop(root)
    assert "no display" in run_in(root, f"/window/{NAME}").stderr
    with hidden_display() as display, _started(root, display) as process:
        _await(display, "#ffffff", 2000)  # the entry of the login
        environment = {**os.environ, "DISPLAY": display}
        for keys in (["mousemove", "180", "93", "click", "1", "type", PASSPHRASE], ["key", "Return"]):
            subprocess.run(["xdotool", *keys], env=environment, check=True)
        _await(display, FIRST, 500)  # the bar of the likeliest class
        drag = start_dragging(display, (200, 200), Path("/images/0001.png"))
        assert drag.communicate(timeout=180)[0] == "copy"
        assert process.poll() is None


def _put_desktop(root: Path) -> None:
    """What a window needs of a system."""
    libraries = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    for name in ("libxcb.so.1", "libXau.so.6", "libXdmcp.so.6", "libbsd.so.0", "libmd.so.0"):
        found = next(line.split()[-1] for line in libraries.splitlines() if line.split()[0] == name)
        (root / found[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, root / found[1:])
    shutil.copytree("/etc/fonts", root / "etc" / "fonts")
    shutil.copytree("/usr/share/fonts/truetype/dejavu", root / "usr/share/fonts/truetype/dejavu")


@contextmanager
def _started(root: Path, display: str) -> Iterator[subprocess.Popen[bytes]]:
    """The window in the bare root; X is found by its name, not by a file."""
    become = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    command: list[str | Path] = [*become, CHROOT, root, f"/window/{NAME}", "/images/0000.png"]
    process = subprocess.Popen(command, env={"DISPLAY": display})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(display: str, colour: str, least: int) -> None:
    """Wait until so many pixels of a colour are on the display."""
    stop = time.monotonic() + 180
    while pixels_of(screenshot(display), colour) < least:
        assert time.monotonic() < stop, "nothing is to be seen"
        time.sleep(0.2)


def test_without_pyinstaller_the_way_to_it_is_named(
    contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PyInstaller", None)
    with pytest.raises(ExportError, match=r"^PyInstaller is not installed: pip install 'tenfold\[pack\]'$"):
        write_package("cli", contents, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_failure_of_pyinstaller_is_one_sentence(
    contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.spec").write_text("raise SystemExit('no such thing')\n")
    monkeypatch.setattr(frozen, "_SPEC", tmp_path / "broken.spec")
    with pytest.raises(ExportError, match="PyInstaller failed: no such thing"):
        write_package("cli", contents, tmp_path / "out")


def test_a_program_that_answers_differently_is_not_packed(contents: Contents, tmp_path: Path) -> None:
    program = tmp_path / NAME
    program.write_text("#!/bin/sh\necho '[{\"classes\": []}]'\n")
    program.chmod(0o755)
    with pytest.raises(ExportError, match="the program that was made answers differently"):
        frozen.prove_program(contents, tmp_path, PackOptions())
    program.write_text("#!/bin/sh\necho no library >&2\nexit 1\n")
    with pytest.raises(ExportError, match="does not work here; it says: no library"):
        frozen.prove_program(contents, tmp_path, PackOptions())
