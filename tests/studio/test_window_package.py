"""The page of packages: a run is packed, protected and tried."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from display import pixels_of, screenshot
from packages import write_int8, write_run
from tenfold.packaging.targets import TARGETS
from tenfold.runs.directory import RunDirectory
from tenfold.studio import packages
from tenfold.studio.ui import package as module
from tenfold_runner.errors import PassphraseError
from tenfold_runner.package import Package
from tenfold_runner.window.style import GROUND

pytestmark = pytest.mark.slow

PHRASE = "five random words"


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run").path


@pytest.fixture
def page(user, run):
    """The page, at a package that is made at once."""
    user.begin()
    page = user.open("package", run=run)
    page.target.set("folder")
    page._obey()
    user.look()
    return page


@pytest.fixture
def image(tmp_path, monkeypatch):
    """What is chosen in the dialogue for an image."""
    path = tmp_path / "image.png"
    Image.new("L", (8, 8), 128).save(path)
    monkeypatch.setattr(module.filedialog, "askopenfilename", lambda **_asked: str(path))
    return path


def packed(user, page):
    """Pack, and wait until that is over; gives the package."""
    user.button("Pack", page).invoke()
    user.until(lambda: page._number is not None)
    user.until(lambda: page._number is None)
    assert page.package is not None, page._outcome.cget("text")
    return page.package


def tried(user, page):
    """What the package says of the image."""
    page._said.set("")
    user.button("Try it here", page).invoke()
    user.until(page._said.get)
    return page._said.get()


@pytest.mark.usefixtures("image")
def test_a_package_is_made_and_tried(user, page, run):
    package = packed(user, page)
    assert package.path.is_relative_to(run)
    assert package.sha256 in str(page._outcome.cget("text"))
    manifest = json.loads((package.path / "manifest.json").read_text())
    assert package.files == len(manifest["files"]) + 1
    assert (Package.open(package.path).protected, package.protected) == (False, False)
    assert "%" in tried(user, page)


@pytest.mark.long
def test_a_program_with_a_window_is_made_and_started(user, page, display):
    page.target.set("desktop")
    page._obey()
    package = packed(user, page)
    assert pixels_of(screenshot(display.name), GROUND) < 1000
    user.button("Try it here", page).invoke()
    user.until(lambda: user.told and "News" not in user.told)
    assert user.told == "Started."
    (program,) = (x for x in psutil.Process().children() if Path(x.exe()).parent == package.path)
    try:
        user.until(lambda: pixels_of(screenshot(display.name), GROUND) > 50_000)
        assert program.is_running()
    finally:
        program.kill()
        program.wait()


def test_a_program_that_ends_at_once_says_why(user, page):
    package = packed(user, page)
    page.package = replace(package, target="desktop")
    program = package.path / "program"
    program.write_text("#!/bin/sh\necho no libxcb >&2\nexit 2\n" + "#" * 60_000)
    program.chmod(0o755)
    user.button("Try it here", page).invoke()
    user.until(lambda: user.told and "News" not in user.told)
    assert user.told == "no libxcb"


@pytest.mark.usefixtures("image")
def test_the_network_in_8_bits_is_packed(user, page, run):
    page._int8.set(True)
    user.button("Pack", page).invoke()
    user.until(lambda: page._number is not None)
    user.until(lambda: page._number is None)
    assert page.package is None
    assert f"make it with: tenfold export {run} --int8" in str(page._outcome.cget("text"))
    write_int8(RunDirectory(run))
    package = packed(user, page)
    assert Package.open(package.path).network() == RunDirectory(run).int8_onnx.read_bytes()
    assert "%" in tried(user, page)
    page.target.set("native")
    page._obey()
    user.look()
    assert not page._eight.winfo_ismapped()


@pytest.mark.usefixtures("image")
def test_a_passphrase_protects_a_package_and_is_kept_nowhere(user, page, run, tmp_path):
    protection = page.protection
    assert not protection.first.winfo_ismapped()
    protection.winfo_children()[0].invoke()
    user.until(protection.first.winfo_ismapped)
    for first, again, said in ((PHRASE, "five", "differ"), ("five", "five", "give at least 8")):
        protection.clear()
        protection.first.insert(0, first)
        protection.again.insert(0, again)
        user.button("Pack", page).invoke()
        user.look()
        assert said in user.told
    assert user.window.store.queue.jobs(user.window.session) == ()
    protection.clear()
    protection.first.insert(0, PHRASE)
    protection.again.insert(0, PHRASE)
    package = packed(user, page)
    assert protection.first.get() == protection.again.get() == ""

    opened = Package.open(package.path)
    assert opened.network(PHRASE) == (run / "model.onnx").read_bytes()
    with pytest.raises(PassphraseError):
        opened.network("five other words")
    log = user.window.store.queue.log(user.window.session, 1)
    assert "--protect" in log.splitlines()[0]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if b"random words" in path.read_bytes()] == []

    user.button("Try it here", page).invoke()
    user.look()
    assert "Type the passphrase" in user.told
    protection.first.insert(0, "five other words")
    user.button("Try it here", page).invoke()
    user.until(lambda: "wrong passphrase" in user.told)
    protection.clear()
    protection.first.insert(0, PHRASE)
    assert "%" in tried(user, page)
    user.open("new")
    assert protection.first.get() == ""


def test_the_targets_and_their_wishes_are_those_of_the_command_line():
    assert set(packages.TARGETS) == set(TARGETS)
    for wish, shown in (
        ("one_file", module._ONE_FILE),
        ("icon", module._ICON),
        ("int8", module._INT8),
        ("passphrase", module._PROTECTED),
    ):
        assert set(shown) == {target.name for target in TARGETS.values() if wish in target.obeys}
