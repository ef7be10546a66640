"""Programs that need no Python: the runner with all it imports, by PyInstaller."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import tenfold_runner
from tenfold.core.errors import ExportError
from tenfold.packaging.contents import Contents, card_text
from tenfold.packaging.folder import NEEDED, NEEDED_PROTECTED, NEEDED_WINDOW, put_contents
from tenfold.packaging.freezing import ENDING, answer_of, check_pyinstaller, freeze, system_libraries
from tenfold.packaging.icon import write_system_icon
from tenfold.packaging.licences import put_licences, put_python_licence
from tenfold.packaging.options import PackOptions
from tenfold.packaging.system_licences import put_system_licences
from tenfold_runner.card import Card
from tenfold_runner.classify import Classifier
from tenfold_runner.manifest import MANIFEST, manifest_of
from tenfold_runner.seal import seal

__all__ = ["build_cli", "build_desktop", "prove_program"]

_SPEC = Path(__file__).with_name("program.spec")
_START = "import tenfold_runner.__main__\n"
_ALIKE = 1e-5  # the same library computes both; another number of threads may round otherwise


@dataclass(frozen=True)
class _Order:
    """What PyInstaller is to make, and where it may work."""

    contents: Contents
    options: PackOptions
    window: bool
    work: Path

    @property
    def name(self) -> str:
        """Of the executable."""
        return self.contents.file_name


def build_cli(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Put a program for the terminal into `folder`.

    Raises:
        ExportError: PyInstaller is not installed or fails.
    """
    _build(contents, folder, options, window=False)


def build_desktop(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Put a program with a window, which also runs in a terminal, into `folder`.

    Raises:
        ExportError: PyInstaller, Tk or tkinterdnd2 is not installed, or PyInstaller fails.
    """
    if importlib.util.find_spec("_tkinter") is None:
        raise ExportError(
            "a package with a window needs Tk, which this Python was built without: install it "
            "(Debian: apt install python3-tk) or pack --target cli"
        )
    for name in NEEDED_WINDOW:
        if importlib.util.find_spec(name) is None:
            raise ExportError(f"a package with a window needs {name}: pip install 'tenfold[pack]'")
    _build(contents, folder, options, window=True)


def prove_program(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Let the program classify a made-up image, and compare its answer with that of the network here.

    Raises:
        ExportError: it does not start, or answers differently.
    """
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        image, card = Path(name) / "image.png", Path(name) / "card.json"
        card.write_text(card_text(contents.card), encoding="utf-8")
        _draw(image, contents.card["input"])
        expected = Classifier(Card.read(card), contents.model).classify(image, len(contents.card["classes"]))
        program = folder / f"{contents.file_name}{ENDING}"
        given = [] if options.passphrase is None else ["--passphrase-stdin"]
        asked: list[str | Path] = [
            program,
            "--image",
            image,
            "--json",
            "--top",
            str(len(expected.ranked)),
            *given,
        ]
        (row,) = answer_of(asked, f"{options.passphrase}\n")
    met = {found["class"]: found["probability"] for found in row["classes"]}
    worst = max(abs(met.get(name, 2.0) - chance) for name, chance in expected.ranked)
    if worst > _ALIKE:
        raise ExportError(
            f"the program that was made answers differently: a probability is off by {worst:.1e}, "
            f"allowed {_ALIKE:.0e}; install onnxruntime, numpy and pillow again"
        )


def _draw(path: Path, shape: list[int]) -> None:
    """An image of stripes in the size that the network takes."""
    channels, height, width = shape
    pixels = (np.arange(height * width * 3) * 37 % 256).astype(np.uint8).reshape(height, width, 3)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)


def _build(contents: Contents, folder: Path, options: PackOptions, *, window: bool) -> None:
    """Freeze the runner, and put network and licences beside it or into it."""
    check_pyinstaller()
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        order = _Order(contents, options, window, Path(name))
        inside = order.work / "inside"
        inside.mkdir()
        put_contents(contents, inside if options.one_file else folder, options)
        if options.one_file:
            (inside / MANIFEST).write_text(manifest_of(inside), encoding="utf-8", newline="\n")
        made = _freeze(order, sorted(inside.iterdir()))
        if options.one_file:
            shutil.copy2(made, folder / made.name)
            seal(folder / made.name)
        else:
            shutil.copytree(made, folder, symlinks=True, dirs_exist_ok=True)
        put_system_licences(system_libraries(order.work), folder)
    put_licences(("tenfold", *NEEDED, *(NEEDED_WINDOW if window else ()), "pyinstaller"), folder)
    put_python_licence(folder)
    if options.passphrase is not None:
        put_licences((*NEEDED_PROTECTED, "argon2-cffi-bindings", "cffi"), folder)


def _freeze(order: _Order, inside: list[Path]) -> Path:
    """Run PyInstaller in a process of its own; the executable, or the folder around it."""
    work, start = order.work, order.work / "start.py"
    start.write_text(_START)
    settings = {
        "start": str(start),
        "paths": [str(Path(tenfold_runner.__file__).parent.parent)],
        "inside": [str(path) for path in inside],
        "window": order.window,
        "protected": order.options.passphrase is not None,
        "one_file": order.options.one_file,
        "name": order.name,
        "icon": _icon(order),
    }
    made = freeze(_SPEC, settings, work)
    return made / f"{order.name}{ENDING}" if order.options.one_file else made / order.name


def _icon(order: _Order) -> str | None:
    """The picture that the system shows for the program; "NONE" keeps PyInstaller's own away."""
    icon = order.options.icon
    path = None if icon is None else write_system_icon(icon, order.work, sys.platform)
    return "NONE" if path is None else str(path)
