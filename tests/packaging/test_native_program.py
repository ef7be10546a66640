"""The native package as its user gets it: programs that run in an empty root, on other processors, in C."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from native_builds import zig
from native_images import BROKEN, KINDS, photo
from packages import network, run_in, write_digits, write_run
from tenfold.data.digits import read_digits
from tenfold.packaging.contents import CARD, Contents, card_text
from tenfold.packaging.options import PackOptions
from tenfold.packaging.write import write_package
from tenfold_runner.card import Card
from tenfold_runner.images import prepared, read_image

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "native-package.md"
ALIKE = 1e-5
"""Of the largest logit; allowed are 1e-4, met are a few 1e-7."""

SYSTEM_DLLS = re.compile(rb"(kernel32|shell32|api-ms-win-crt-[a-z]+-l1-1-0)\.dll", re.IGNORECASE)


class Built:
    """A package, and the networks and cards it was made of."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], classes: int) -> None:
        run = write_run(folder / "run", shape, classes)
        contents = Contents.of(run, name="Größe 8")
        self.package = write_package("native", contents, folder / "out", PackOptions())
        self.model = network(shape, classes)
        self.card = Card.read(self.package / CARD)

    def program(self, platform: str = "linux-x86_64") -> Path:
        return self.package / f"Gr-e-8-{platform}"

    def run(self, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [self.program(), *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=100)

    def logits(self, *files: Path) -> np.ndarray:
        return _logits(self.run("--json", "--logits", *files).stdout)

    def expected(self, *files: Path) -> np.ndarray:
        """By Pillow and torch."""
        batch = prepared([read_image(path, self.card) for path in files], self.card)
        with torch.no_grad():
            return self.model(torch.from_numpy(batch)).numpy()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("digits"), (1, 8, 8), 10)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("colours"), (3, 20, 15), 3)


def _logits(printed: str | bytes) -> np.ndarray:
    return np.array([row["logits"] for row in json.loads(printed)])


def _close(met: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(met, wanted, rtol=0, atol=ALIKE * np.abs(wanted).max())


def test_in_a_root_that_holds_nothing_else_it_answers_as_torch_does(digits: Built, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    images = write_digits(tmp_path / "root" / "images")
    assert len(images) >= 300
    shutil.copy(digits.program(), tmp_path / "root" / "program")
    inside = [f"/images/{path.name}" for path in images]
    told = run_in(tmp_path / "root", "/program", "--json", "--logits", "--top", "1", *inside)
    assert (told.returncode, told.stderr) == (0, "")
    with torch.no_grad():
        wanted = digits.model((read_digits()[1].images.float() / 255 - 0.4) / 0.4).numpy()
    _close(_logits(told.stdout), wanted)
    best = [row["classes"][0]["class"] for row in json.loads(told.stdout)]
    assert best == [digits.card.classes[n] for n in wanted.argmax(1)]


def test_other_processors_give_the_same_answers(digits: Built, tmp_path: Path) -> None:
    images = write_digits(tmp_path / "images", 20)
    wanted = digits.logits(*images)
    arm = ["qemu-aarch64-static", digits.program("linux-arm64")]
    old = ["qemu-x86_64-static", "-cpu", "qemu64", digits.program()]  # has neither AVX2 nor FMA
    for command in (arm, old):
        done = subprocess.run([*command, "--json", "--logits", *images], capture_output=True, check=True)
        _close(_logits(done.stdout), wanted)
    done = subprocess.run([*old, "--bench", "1", "--json"], capture_output=True, check=True)
    assert json.loads(done.stdout)["processor"] == "x86-64"


def test_the_program_for_windows_gives_the_same_answers_under_wine(digits: Built, tmp_path: Path) -> None:
    wine = shutil.which("wine64", path="/usr/lib/wine:/usr/bin")
    assert wine is not None, "no wine64: install the packages of system-packages.txt"
    images = write_digits(tmp_path / "images", 20)
    images[0] = images[0].rename(images[0].with_name("größte 写真.png"))
    names = [str(path.relative_to(tmp_path)) for path in images]
    told = subprocess.run(
        [wine, digits.program("windows-x86_64.exe"), "--json", "--logits", *names],
        cwd=tmp_path,
        env={**os.environ, "WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all"},
        capture_output=True,
        check=True,
    )
    assert [row["file"] for row in json.loads(told.stdout)] == names
    _close(_logits(told.stdout), digits.logits(*images))


def test_programs_are_small_and_need_nothing(digits: Built) -> None:
    for platform in ("linux-x86_64", "linux-arm64"):
        data = digits.program(platform).read_bytes()
        assert len(data) < 300_000
        assert data[:5] == b"\x7fELF\x02"
        assert _segments(data) & {2, 3} == set()  # neither DYNAMIC nor INTERP
    data = digits.program("windows-x86_64.exe").read_bytes()
    assert len(data) < 400_000
    start = struct.unpack_from("<I", data, 0x3C)[0]
    assert data[start : start + 6] == b"PE\0\0\x64\x86"
    assert struct.unpack_from("<H", data, start + 24 + 68)[0] == 3  # a program for the console
    named = set(re.findall(rb"[A-Za-z0-9_.-]+\.dll", data, re.IGNORECASE))
    assert named
    assert all(SYSTEM_DLLS.fullmatch(name) for name in named), named


def _segments(data: bytes) -> set[int]:
    """Types of the segments of an ELF file."""
    offset, size, count = (*struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54))
    return {struct.unpack_from("<I", data, offset + n * size)[0] for n in range(count)}


def test_two_packages_of_one_network_are_equal_and_name_no_folder(digits: Built, tmp_path: Path) -> None:
    again = Built(tmp_path, (1, 8, 8), 10)
    names = sorted(path.relative_to(again.package) for path in again.package.rglob("*") if path.is_file())
    for name in names:
        data = (again.package / name).read_bytes()
        assert data == (digits.package / name).read_bytes(), name
        assert b"tenfold-native-" not in data, name
    assert len(names) == 14


@pytest.mark.parametrize("name", KINDS)
def test_pixels_become_numbers_as_pillow_makes_them(
    digits: Built, colours: Built, tmp_path: Path, name: str
) -> None:
    KINDS[name](tmp_path / name)
    for built in (digits, colours):
        _close(built.logits(tmp_path / name), built.expected(tmp_path / name))


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_read_is_one_line_with_the_reason(digits: Built, tmp_path: Path, case: str) -> None:
    data, words = BROKEN[case]
    (tmp_path / "image").write_bytes(data)
    told = digits.run(tmp_path / "image")
    assert (told.returncode, told.stdout) == (2, b"")
    start = f"error: {tmp_path / 'image'}: cannot be read as an image: ".encode()
    assert told.stderr.startswith(start)
    assert words in told.stderr
    assert told.stderr.count(b"\n") == 1


def test_damaged_files_never_crash_it(colours: Built, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    photo(40, 30).save(buffer, "PNG")
    draw, paths = np.random.default_rng(0), []
    for number in range(400):
        data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        places = draw.integers(33, len(data), draw.integers(1, 5))
        data[places] = draw.integers(0, 256, len(places))
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(_repaired(data.tobytes()))
    told = colours.run(*paths)
    assert told.returncode in (1, 2)
    assert told.stderr.count(b"error: ") + told.stdout.count(b" ms)") == 400


def _repaired(data: bytes) -> bytes:
    """The file with a right checksum in its chunk of pixels, so that what lies behind that is looked at."""
    at = data.index(b"IDAT") if b"IDAT" in data else 0
    size = struct.unpack_from(">I", data, at - 4)[0] if at else len(data)
    if not at or at + 8 + size > len(data):
        return data
    return (
        data[: at + 4 + size]
        + struct.pack(">I", zlib.crc32(data[at : at + 4 + size]))
        + data[at + 8 + size :]
    )


def test_numbers_come_from_files_and_the_input_as_they_are(digits: Built, tmp_path: Path) -> None:
    image = write_digits(tmp_path / "images", 1)[0]
    numbers = prepared([read_image(image, digits.card)], digits.card).astype("<f4").tobytes()
    (tmp_path / "numbers").write_bytes(numbers)
    wanted = digits.logits(image)
    _close(digits.logits(tmp_path / "numbers"), wanted)
    for data in (numbers, image.read_bytes()):
        _close(_logits(digits.run("--json", "--logits", "-", stdin=data).stdout), wanted)


def test_answers_for_people_and_programs(digits: Built, tmp_path: Path) -> None:
    images = write_digits(tmp_path / "images", 2)
    missing = tmp_path / 'no "such" file'
    told = digits.run("--top", 2, images[0], missing)
    assert told.returncode == 1
    assert b"No such file" in told.stderr
    lines = told.stdout.decode().splitlines()
    assert re.fullmatch(r".*0000\.png  \(\d+\.\d{3} ms\)", lines[0])
    (tmp_path / 'a "b".png').write_bytes(images[0].read_bytes())
    rows = json.loads(digits.run("--json", "--top", 99, "--image", tmp_path / 'a "b".png', images[1]).stdout)
    assert [row["file"] for row in rows] == [str(tmp_path / 'a "b".png'), str(images[1])]
    chances = [entry["probability"] for entry in rows[0]["classes"]]
    assert len(chances) == 10
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=1e-7)
    assert lines[1:] == [f"  {100 * e['probability']:6.2f} %  {e['class']}" for e in rows[0]["classes"][:2]]
    assert json.loads(digits.run("--json", missing).stdout) == []


def test_card_and_benchmark(digits: Built) -> None:
    told = digits.run("--card").stdout.decode()
    assert told.startswith("Größe 8 1.0.0: small, trained on digits\n10 classes: class 0, class 1,")
    assert ["accuracy", "98.50", "%", "97.25", "%"] in [line.split() for line in told.splitlines()]
    assert digits.run("--card", "--json").stdout.decode() == card_text(digits.card.content)
    timed = json.loads(digits.run("--bench", 100, "--json").stdout)
    assert timed["runs"] == 100
    assert 0 < timed["median_ms"] <= timed["slow_ms"] < 50


@pytest.mark.parametrize(
    "arguments",
    [(), ("--top",), ("--top", "0", "x"), ("--top", "2x", "x"), ("--bench", "-1"), ("--no-such", "x")],
)
def test_options_that_make_no_sense_are_refused(digits: Built, arguments: tuple[str, ...]) -> None:
    told = digits.run(*arguments)
    assert (told.returncode, told.stdout) == (2, b"")
    assert told.stderr.startswith(b"error: ")


def test_a_full_disk_is_told(digits: Built) -> None:
    with Path("/dev/full").open("wb") as full:
        told = subprocess.run([digits.program(), "--card"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (told.returncode, told.stderr) == (2, b"error: output: cannot be written\n")


def test_the_example_of_the_documentation_classifies(colours: Built, tmp_path: Path) -> None:
    (example,) = re.findall(r"```c\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.c").write_text(example)
    embed = colours.package / "embed"
    shutil.copy(embed / "model.h", tmp_path)
    library = embed / "linux-x86_64" / "libmodel.a"
    zig(tmp_path, "cc", "-Wall", "-Wextra", "-Werror", "example.c", str(library), "-lm", "-o", "example")
    pixels = np.full((60, 80, 3), (200, 100, 50), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    told = subprocess.run([tmp_path / "example"], capture_output=True, text=True, check=True)
    best = colours.card.classes[int(colours.expected(tmp_path / "plain.png").argmax())]
    assert told.stdout == f"{best}\n"


def test_the_one_c_file_needs_no_other_network_code(colours: Built, tmp_path: Path) -> None:
    for name in ("model.c", "model.h", "prepare.c"):
        shutil.copy(colours.package / "embed" / name, tmp_path)
    settings = ("-Wall", "-Wextra", "-Wno-unterminated-string-initialization", "-Wno-unknown-pragmas", "-O1")
    zig(tmp_path, "cc", *settings, "-Werror", "-c", "model.c", "-o", "model.o")
    zig(tmp_path, "cc", *settings, "-Werror", "-c", "prepare.c", "-o", "prepare.o")


def test_it_is_packed_from_the_command_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    command = [
        sys.executable,
        "-m",
        "tenfold",
        "pack",
        run.path,
        "--target",
        "native",
        "--out",
        tmp_path / "out",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert {path.name for path in (tmp_path / "out").glob("small-digits-*")} == {
        "small-digits-linux-x86_64",
        "small-digits-linux-arm64",
        "small-digits-windows-x86_64.exe",
    }
