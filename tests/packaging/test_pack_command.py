"""`tenfold pack`, as a user types it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from packages import write_int8, write_run
from tenfold.cli.app import app
from tenfold.runs.directory import RunDirectory
from tenfold_runner.package import Package


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run").path


def pack(*arguments: object, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["pack", *(str(argument) for argument in arguments)], input=stdin)


def test_a_package_is_made_in_the_run_directory_and_measured(run: Path) -> None:
    told = pack(run, "--target", "folder")
    assert told.exit_code == 0, told.output
    package = run / "packages" / "small-digits-1.0.0-folder"
    assert told.output.splitlines()[-1] == f"package: {package}"
    assert Package.open(package).card.name == "small-digits"
    files = [path for path in package.rglob("*") if path.is_file()]
    assert f"all {len(files)} files" in told.output
    assert f"{sum(path.stat().st_size for path in files):,}" in told.output
    assert "glibc" not in told.output  # there is no program in it
    again = pack(run, "--target", "folder", "--name", "Größe", "--release", "1/2")
    assert (run / "packages" / "Gr-e-1-2-folder").is_dir()
    assert "Größe 1/2" in again.output


def test_eight_bits_are_taken_and_the_card_says_so(run: Path, tmp_path: Path) -> None:
    write_int8(RunDirectory.open(run))
    told = pack(run, "--target", "folder", "--int8", "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    package = Package.open(tmp_path / "out")
    assert package.network() == (run / "model.int8.onnx").read_bytes()
    assert package.card.lines[-1] == ("weights", "32 bits", "8 bits")
    assert package.card.lines[0] == ("accuracy", "98.50 %", "97.00 %")
    plain = pack(run, "--target", "folder", "--out", tmp_path / "plain")
    assert plain.exit_code == 0
    assert "weights" not in {row[0] for row in Package.open(tmp_path / "plain").card.lines}


def test_a_passphrase_comes_through_a_pipe_and_is_shown_nowhere(run: Path, tmp_path: Path) -> None:
    told = pack(run, "--target", "folder", "--protect", "--out", tmp_path / "out", stdin="correct horse\n")
    assert told.exit_code == 0
    assert "horse" not in told.output
    assert Package.open(tmp_path / "out").network("correct horse") == (run / "model.onnx").read_bytes()
    short = pack(run, "--target", "folder", "--protect", "--out", tmp_path / "two", stdin="secret\n")
    assert short.exit_code == 2
    assert "a passphrase of 6 characters: give at least 8" in short.output
    assert not (tmp_path / "two").exists()


def test_a_passphrase_is_typed_twice_unseen(run: Path, tmp_path: Path) -> None:
    for second, code in (("correct horse", 0), ("correct house", 2)):
        out = tmp_path / f"out{code}"
        said, ended = _typed(["correct horse", second], run, "--target", "folder", "--protect", "--out", out)
        assert ended == code
        assert "horse" not in said
        assert "Passphrase again: " in said
        assert out.exists() == (code == 0)
    assert "the two passphrases differ: start again" in said


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--target", "desktp"], "error: no target 'desktp'; the nearest is desktop"),
        (["--target", "folder", "--one-file"], "a package 'folder' has no option one-file: leave it out"),
        (["--target", "folder", "--icon", "gone.png"], "error: icon gone.png: cannot be read as a picture"),
        (["--target", "folder", "--name", ""], "give one line of 1 to 64 characters"),
        (["--target", "folder", "--int8"], "model.int8.onnx: No such file or directory; make it with: "),
        (["--target", "native", "--int8"], "a package 'native' has no option int8: leave it out"),
        (
            ["--target", "studio"],
            "the bundle 'studio' is tenfold itself, not a network of yours: leave RUN out",
        ),
    ],
)
def test_what_cannot_be_packed_is_one_sentence(run: Path, arguments: list[str], cause: str) -> None:
    told = pack(run, *arguments)
    assert told.exit_code == 2
    assert cause in told.output
    assert not [path for path in run.rglob("*") if "part" in path.name]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--target", "folder"], "a package 'folder' is of a run: give its directory"),
        (["--target", "studoi"], "no target 'studoi'; the nearest is studio"),
        (["--target", "studio", "--name", "mine"], "leave --name out"),
        (["--target", "studio", "--protect"], "leave --protect out"),
        (["--target", "studio", "--one-file"], "a bundle 'studio' has no option one-file: leave it out"),
    ],
)
def test_without_a_run(arguments: list[str], cause: str) -> None:
    told = pack(*arguments)
    assert told.exit_code == 2
    assert cause in " ".join(told.output.split())


def test_a_run_that_is_none(tmp_path: Path) -> None:
    told = pack(tmp_path / "gone", "--target", "folder")
    assert told.exit_code == 2
    assert "cannot open the run" in told.output


def _typed(lines: list[str], *arguments: object) -> tuple[str, int]:
    """What the command says in a terminal where these lines are typed, and its exit code."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "tenfold", "pack", *(str(argument) for argument in arguments)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    said = ""
    for prompt, line in zip(("Passphrase: ", "Passphrase again: "), lines, strict=True):
        while prompt not in said:
            said += os.read(master, 1024).decode()
        os.write(master, f"{line}\n".encode())
    try:
        while piece := os.read(master, 1024):
            said += piece.decode(errors="replace")
    except OSError:  # the terminal is gone with the command
        pass
    code = process.wait(300)
    os.close(master)
    return said, code
