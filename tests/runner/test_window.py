"""The window, on a display that no one looks at."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
import tkinter as tk
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from display import hidden_display, lasting_display, pixels_of, screenshot
from dragging import start_dragging
from packages import write_digits, write_folder, write_run
from tenfold.packaging.options import PackOptions
from tenfold_runner.classify import Classifier
from tenfold_runner.errors import ImageError, PassphraseError, RunnerError
from tenfold_runner.package import Package
from tenfold_runner.window.login import Login
from tenfold_runner.window.program import Program
from tenfold_runner.window.style import FIRST, dress
from tenfold_runner.window.work import Work

pytestmark = pytest.mark.slow
_SECONDS = 120
_KEPT: list[tk.Tk] = []  # Tcl aborts where an interpreter is collected by another thread than its own


@pytest.fixture(scope="module")
def display() -> str:
    return lasting_display().name


@pytest.fixture(scope="module")
def only(display: str) -> Iterator[tk.Tk]:
    root = tk.Tk(screenName=display)
    _KEPT.append(root)
    dress(root)
    yield root
    root.destroy()


@pytest.fixture
def root(only: tk.Tk) -> Iterator[tk.Tk]:
    yield only
    for child in only.winfo_children():
        child.destroy()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("package")
    return Package.open(write_folder(write_run(folder / "run"), folder / "out"))


@pytest.fixture
def program(root: tk.Tk, package: Package) -> Iterator[Program]:
    program = Program(root, Classifier(package.card, package.network()))
    program.pack(fill="both", expand=True)
    yield program
    program.work.close()


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return write_digits(tmp_path / "images", 40)


def wait(root: tk.Misc, until: Callable[[], bool]) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + _SECONDS
    while not until():
        assert time.monotonic() < end, "it did not come about"
        root.update()
        time.sleep(0.005)


def texts(program: Program) -> list[str]:
    bars = program.bars
    return [bars.itemcget(item, "text") for item in bars.find_all() if bars.type(item) == "text"]


def test_images_are_shown_with_their_classes_and_keys_go_through_them(
    root: tk.Tk, program: Program, package: Package, images: list[Path]
) -> None:
    program.open(images[:3])
    wait(root, lambda: bool(texts(program)))
    classifier = Classifier(package.card, package.network())
    for path in images[:2]:
        ranked = classifier.classify(path, 5).ranked
        wait(root, lambda: not program.work.busy)
        wanted = [text for name, chance in ranked for text in (name, f"{100 * chance:.1f} %")]
        assert texts(program) == wanted
        assert program.name["text"] == f"{path.name}   ({images.index(path) + 1} of 3)"
        assert program.latency["text"].endswith("ms in the network")
        program.forth()
    wait(root, lambda: not program.work.busy)
    program.forth()
    assert program.name["text"].startswith(images[2].name)
    for _ in range(5):
        program.back()
        wait(root, lambda: not program.work.busy)
    assert program.name["text"].startswith(images[0].name)


def test_bars_are_as_long_as_the_classes_are_likely(root: tk.Tk, program: Program) -> None:
    program.bars.put([("a", 0.75), ("b", 0.25), ("a name of more than twenty characters", 0.0)])
    root.update()
    boxes = [i for i in program.bars.find_all() if program.bars.type(i) == "rectangle"]
    widths = [program.bars.coords(i)[2] - program.bars.coords(i)[0] for i in boxes]
    for place, chance in ((0, 0.75), (1, 0.25), (2, 0.0)):
        assert widths[2 * place + 1] == pytest.approx(chance * widths[0], abs=1)
    assert "a name of more than…" in texts(program)


def test_what_is_no_image_is_said_in_the_window(root: tk.Tk, program: Program, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no")
    program.open([tmp_path / "no.png"])
    wait(root, lambda: "cannot be read as an image" in program.said["text"])
    assert texts(program) == []
    assert not program.work.busy


def test_images_are_dropped_on_it(root: tk.Tk, program: Program, display: str, images: list[Path]) -> None:
    dropped = [path.rename(path.with_name(f"größte {{{path.name}")) for path in images[:2]]
    wait(root, lambda: program.winfo_viewable() == 1)
    drag = start_dragging(display, (200, 200), *dropped)
    wait(root, lambda: drag.poll() is not None)
    assert drag.communicate()[0] == "copy"
    wait(root, lambda: not program.work.busy and texts(program) != [])
    assert program.name["text"] == f"{dropped[0].name}   (1 of 2)"
    assert program.latency["text"].endswith("ms in the network")


def test_a_folder_that_is_dropped_becomes_a_table(
    root: tk.Tk, program: Program, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = images[0].parent / "classes.csv"
    monkeypatch.setattr("tkinter.filedialog.asksaveasfilename", lambda **_: str(table))
    program.take([images[0].parent])
    wait(root, table.exists)
    assert len(table.read_text().splitlines()) == 1 + len(images)


def test_a_folder_becomes_a_table_while_the_window_lives(
    root: tk.Tk, program: Program, images: list[Path], tmp_path: Path
) -> None:
    (images[0].parent / "no.png").write_text("no")
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += program.work.busy
        root.after(1, beat)

    beat()
    program.tabulate(images[0].parent, tmp_path / "table.csv")
    assert str(program.cancel["state"]) == "normal"
    wait(root, lambda: "could not be read" in program.said["text"])
    assert program.said["text"] == f"41 images, 1 of them could not be read; table: {tmp_path / 'table.csv'}"
    assert beats > 3
    with (tmp_path / "table.csv").open() as file:
        assert len(list(csv.reader(file))) == 42
    assert str(program.cancel["state"]) == "disabled"


def test_a_cancelled_table_is_not_written(
    root: tk.Tk, program: Program, images: list[Path], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    program.tabulate(images[0].parent, tmp_path / "table.csv")
    program.work.cancel()
    wait(root, lambda: not program.work.busy)
    assert program.said["text"] == f"cancelled; {tmp_path / 'table.csv'} was not written"
    assert sorted(tmp_path.iterdir()) == before
    program.tabulate(tmp_path / "gone", tmp_path / "table.csv")
    wait(root, lambda: "no such folder" in program.said["text"])


def test_closing_the_window_leaves_no_half_table(
    root: tk.Tk, program: Program, images: list[Path], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    program.tabulate(images[0].parent, tmp_path / "table.csv")
    program.work.close()
    assert sorted(tmp_path.iterdir()) in (before, sorted([*before, tmp_path / "table.csv"]))
    wait(root, lambda: not program.work.busy)


def test_a_benchmark_tells_both_sizes_of_batches(root: tk.Tk, program: Program) -> None:
    program.bench()
    wait(root, lambda: not program.work.busy)
    first, second = program.said["text"].split("; ")
    assert first.startswith("1 at a time: median ")
    assert second.startswith("32 at a time: median ")
    assert second.endswith(" images a second (1 thread)")


def test_work_is_one_at_a_time_and_tells_what_went_wrong(root: tk.Tk) -> None:
    told: list[object] = []
    work = Work(root, told.append)

    def states() -> Generator[int]:
        yield 1
        raise ImageError("no image")

    def other() -> Generator[int]:
        yield 2

    work.start(states, told.append, told.append)
    work.start(other, told.append, told.append)
    wait(root, lambda: not work.busy)
    assert told[:3] == [True, 1, False]
    assert [str(error) for error in told[3:]] == ["no image"]


def test_a_mistake_in_the_work_is_not_passed_over(root: tk.Tk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    raised: list[object] = []
    monkeypatch.setattr(root, "report_callback_exception", lambda *what: raised.append(what[1]))
    work = Work(root, lambda _: None)

    def states() -> Generator[float]:
        yield 1 / 0

    work.start(states, told.append, told.append)
    wait(root, lambda: bool(raised))
    assert isinstance(told[0], RunnerError)
    assert isinstance(raised[0], ZeroDivisionError)


def test_the_login_waits_after_each_wrong_passphrase(root: tk.Tk, package: Package) -> None:
    opened: list[Classifier] = []
    classifier = Classifier(package.card, package.network())

    def unlock(passphrase: str) -> Classifier:
        if passphrase != "right":
            raise PassphraseError("wrong passphrase")
        return classifier

    login = Login(root, package.card, unlock, opened.append)
    login.pack()
    for failures, text in ((1, "next try in 1 s"), (2, "next try in 2 s")):
        login.entry.insert(0, "wrong")
        login.button.invoke()
        wait(root, lambda text=text: text in login.said["text"])  # type: ignore[misc]
        begin = time.monotonic()
        assert str(login.entry["state"]) == str(login.button["state"]) == "disabled"
        login.unlock()
        assert not login.work.busy
        wait(root, lambda: str(login.entry["state"]) == "normal")
        assert time.monotonic() - begin >= failures * 0.9
        assert login.entry.get() == ""
    assert login.entry["show"] != ""
    login.entry.insert(0, "right")
    login.button.invoke()
    wait(root, lambda: bool(opened))
    assert opened == [classifier]


def start(folder: Path, display: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, folder, *(str(argument) for argument in arguments)],
        env={**os.environ, "DISPLAY": display},
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    process.kill()
    return process.communicate()[1]


def seen(display: str, colour: str, least: int) -> None:
    """Wait until so many pixels of a colour are on the display."""
    stop = time.monotonic() + _SECONDS
    while pixels_of(screenshot(display), colour) < least:
        assert time.monotonic() < stop, "nothing is to be seen"
        time.sleep(0.2)


def xdotool(display: str, *arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], env={**os.environ, "DISPLAY": display}, check=True)


def test_the_program_shows_the_image_it_is_given(package: Package, images: list[Path]) -> None:
    with hidden_display() as display:
        process = start(package.folder, display, *images[:2])
        try:
            seen(display, FIRST, 500)
            # eight rows of eight pixels, each enlarged forty times, in more than black and white
            shown = screenshot(display).crop((20, 70, 320, 370)).convert("L").getcolors()
            assert shown is not None
            assert 3 < len(shown) < 20
        finally:
            assert end(process) == ""


def test_a_protected_program_opens_by_typing(tmp_path: Path, images: list[Path]) -> None:
    options = PackOptions(passphrase="correct horse")
    folder = write_folder(write_run(tmp_path / "run"), tmp_path / "protected", options)
    with hidden_display() as display:
        process = start(folder, display, images[0])
        try:
            seen(display, "#ffffff", 2000)  # the entry
            assert pixels_of(screenshot(display), FIRST) == 0
            xdotool(display, "mousemove", "180", "93", "click", "1", "type", "correct horse")
            xdotool(display, "key", "Return")
            seen(display, FIRST, 500)
        finally:
            assert end(process) == ""


def test_a_changed_package_says_so_in_a_window(tmp_path: Path) -> None:
    folder = write_folder(write_run(tmp_path / "run"), tmp_path / "changed")
    (folder / "card.json").write_text("{}")
    with hidden_display() as display:
        process = start(folder, display)
        seen(display, "#d9d9d9", 5000)  # Tk's own grey
        assert process.poll() is None
        xdotool(display, "key", "space")
        assert process.wait(_SECONDS) == 2
        assert "card.json was changed" in process.communicate()[1]
