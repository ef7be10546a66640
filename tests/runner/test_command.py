"""The command line of a package, run as its user runs it."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from packages import write_digits, write_folder, write_run
from tenfold.packaging.options import PackOptions
from tenfold_runner.package import MODEL

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    return write_folder(write_run(folder / "run"), folder / "out")


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protected")
    return write_folder(write_run(folder / "run"), folder / "out", PackOptions(passphrase=PASSPHRASE))


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return write_digits(tmp_path / "images", 6)


def run(
    folder: Path, *arguments: object, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """``python FOLDER ...`` without what this process can import from the sources."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DISPLAY")}
    return subprocess.run(
        [sys.executable, folder, *(str(argument) for argument in arguments)],
        input=stdin,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_an_image_for_people_and_for_programs(folder: Path, images: list[Path]) -> None:
    told = run(folder, "--image", images[0], "--top", 2)
    assert told.returncode == 0
    lines = told.stdout.splitlines()
    assert lines[0].startswith(f"{images[0]}  (")
    assert len(lines) == 3
    found = json.loads(run(folder, "--image", *images[:3], "--json", "--top", 99).stdout)
    assert [row["file"] for row in found] == [str(path) for path in images[:3]]
    chances = [row["probability"] for row in found[0]["classes"]]
    assert len(chances) == 10
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=1e-12)
    best = found[0]["classes"][0]
    assert lines[1] == f"  {100 * best['probability']:6.2f} %  {best['class']}"


def test_a_folder_becomes_a_table_in_which_broken_files_have_a_line(
    folder: Path, images: list[Path], tmp_path: Path
) -> None:
    (images[0].parent / "deep" / "größer").mkdir(parents=True)
    Image.new("RGB", (3, 5)).save(images[0].parent / "deep" / "größer" / "新しい, x.JPG")
    (images[0].parent / "broken.png").write_bytes(b"no")
    table = tmp_path / "table.csv"
    told = run(folder, "--folder", images[0].parent, "--csv", table, "--top", 2)
    assert (told.returncode, told.stderr) == (1, "")
    assert told.stdout == f"8 images, 1 of them could not be read; table: {table}\n"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [path.name for path in images]
    assert [row["file"] for row in rows] == [*names, "broken.png", "deep/größer/新しい, x.JPG"]
    found = json.loads(run(folder, "--image", images[3], "--json", "--top", 2).stdout)[0]["classes"]
    assert [rows[3][f"class_{n}"] for n in (1, 2)] == [row["class"] for row in found]
    assert float(rows[3]["probability_2"]) == pytest.approx(found[1]["probability"], abs=1e-6)
    assert "cannot be read as an image" in rows[6]["error"]
    assert rows[6]["class_1"] == ""
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_names_that_are_no_text_and_paths_that_are_long(
    folder: Path, images: list[Path], tmp_path: Path
) -> None:
    deep = tmp_path / "/".join(["x" * 200] * 8)
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes(images[0].read_bytes())
    odd = os.fsencode(tmp_path) + b"/odd-\xff.png"
    Path(os.fsdecode(odd)).write_bytes(images[0].read_bytes())
    assert run(folder, "--image", deep / "a.png").returncode == 0
    told = run(folder, "--image", os.fsdecode(odd))
    assert told.returncode == 0
    assert "odd-" in told.stdout
    told = run(folder, "--folder", tmp_path, "--csv", tmp_path / "table.csv")
    assert told.returncode == 0
    assert b"odd-\xff.png," in (tmp_path / "table.csv").read_bytes()
    longest = tmp_path / f"{'写' * 83}.csv"  # 253 bytes of the 255 that a name may have
    assert run(folder, "--folder", images[0].parent, "--csv", longest).returncode == 0
    assert longest.is_file()


def test_card_and_benchmark(folder: Path) -> None:
    told = run(folder, "--card").stdout
    assert told.startswith("Ziffern 8x8 1.0.0: small, trained on digits\n10 classes: class 0, class 1,")
    rows = [line.split() for line in told.splitlines()]
    assert ["accuracy", "98.50", "%", "97.25", "%"] in rows
    assert json.loads(run(folder, "--card", "--json").stdout)["after"]["accuracy"] == 97.25
    one, many = json.loads(run(folder, "--bench", "--json").stdout)
    assert (one["batch"], many["batch"]) == (1, 32)
    assert one["runs"] >= 30
    assert 0 < one["median_ms"] <= one["slow_ms"]
    assert many["images_per_second"] == pytest.approx(32000 / many["median_ms"])


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--image", "gone.png"], "gone.png: cannot be read as an image (No such file or directory)"),
        (["--folder", "gone", "--csv", "a.csv"], "gone: no such folder"),
        (["--folder", "."], "--folder and --csv go together"),
        (["--image", "a.png", "--top", "0"], "0: give 1 or more"),
        (["--card", "a.png"], "Image files go behind --image"),
        ([], "the window cannot be opened"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], cause: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(folder, *arguments)
    assert told.returncode == 2
    assert cause in told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_display_the_command_line_is_named(folder: Path) -> None:
    told = run(folder)
    assert "no display" in told.stderr
    assert "use the command line: " in told.stderr
    assert "--image FILE" in told.stderr


def test_tables_that_cannot_be_written(folder: Path, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = run(folder, "--folder", images[0].parent, "--csv", tmp_path / "file" / "a.csv")
    assert told.returncode == 2
    assert "cannot write" in told.stderr
    told = run(folder, "--folder", images[0].parent, "--csv", tmp_path / "images")
    assert "cannot write" in told.stderr
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_answers_that_no_one_takes_are_one_sentence(
    folder: Path, images: list[Path], unbuffered: str
) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, folder, "--image", images[0]],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert told.returncode == 2
    wanted = (
        "error: the answer cannot be written: No space left on device; free space, or let the reader stay\n"
    )
    assert told.stderr == wanted


def test_a_changed_package_does_nothing(folder: Path, images: list[Path]) -> None:
    model = folder / MODEL
    before = model.read_bytes()
    model.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    told = run(folder, "--image", images[0])
    model.write_bytes(before)
    assert (told.returncode, told.stdout) == (2, "")
    assert "model.onnx was changed" in told.stderr


def test_the_folder_stays_as_its_manifest_says_and_needs_no_other_files(
    folder: Path, images: list[Path]
) -> None:
    before = sorted(folder.rglob("*"))
    assert run(folder, "--image", images[0]).returncode == 0
    assert sorted(folder.rglob("*")) == before


def test_what_is_not_installed_is_named_with_the_way_to_install_it(folder: Path, images: list[Path]) -> None:
    told = subprocess.run(
        [sys.executable, "-S", folder, "--image", images[0]], capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert told.stderr.startswith("error: ")
    assert told.stderr.endswith(f" -m pip install -r {folder}/requirements.txt\n")


def test_a_passphrase_from_a_pipe(protected: Path, images: list[Path]) -> None:
    told = run(protected, "--image", images[0], "--passphrase-stdin", stdin=f"{PASSPHRASE}\n")
    assert told.returncode == 0
    told = run(protected, "--image", images[0], "--passphrase-stdin", stdin="wrong\n")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "error: wrong passphrase; the network stays locked\n"
    told = run(protected, "--image", images[0])
    assert "there is no terminal to ask for the passphrase; use --passphrase-stdin" in told.stderr
    assert run(protected, "--card").returncode == 0


def test_a_passphrase_in_a_terminal_is_hidden_and_each_failure_takes_longer(
    protected: Path, images: list[Path]
) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, protected, "--image", images[0], "--top", "1"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    said, at = "", []
    for typed in ("wrong", "wronger", PASSPHRASE):
        while said.count("Passphrase of Ziffern 8x8: ") == len(at):
            said += os.read(master, 1024).decode()
        at.append(time.monotonic())
        os.write(master, f"{typed}\n".encode())
    try:
        while piece := os.read(master, 1024):
            said += piece.decode()
    except OSError:  # the terminal is gone with the program
        pass
    assert process.wait(60) == 0
    os.close(master)
    assert said.count("wrong passphrase") == 2
    assert "wronger" not in said
    assert PASSPHRASE not in said
    assert "%  class" in said
    assert at[1] - at[0] >= 1
    assert at[2] - at[1] >= 2
