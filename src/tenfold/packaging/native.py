"""The native package: programs without any dependency, and the network as a C library."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tenfold.core.errors import ExportError
from tenfold.packaging.contents import CARD, Contents, card_text
from tenfold.packaging.licences import LICENCES, put_licences
from tenfold.packaging.native_compile import PLATFORMS, Compiler
from tenfold.packaging.native_files import card_h, fixed_files, model_c, model_h
from tenfold.packaging.options import PackOptions
from tenfold_runner.card import Card

__all__ = ["build_native"]

_EMBED = "embed"
_EMBEDDED = ("model.c", "model.h", "prepare.c")
_RUNTIMES = {"musl": "musl/COPYRIGHT", "mingw-w64": "mingw/COPYING"}  # C libraries inside the programs


def build_native(contents: Contents, folder: Path, options: PackOptions) -> None:  # noqa: ARG001
    """Put a program for each platform, and the network as C and as libraries, into `folder`.

    Args:
        contents: network and card.
        folder: exists and is empty.
        options: none is heeded.

    Raises:
        ExportError: the compiler is not installed or fails, or the network holds an operator that is not
            covered.
    """
    (folder / CARD).write_text(card_text(contents.card), encoding="utf-8", newline="\n")
    with tempfile.TemporaryDirectory(prefix="tenfold-native-") as name:
        work = Path(name)
        compiler = Compiler(work)
        _write_sources(contents, Card.read(folder / CARD), work)
        embed = folder / _EMBED
        embed.mkdir()
        for file in _EMBEDDED:
            shutil.copyfile(work / file, embed / file)
        for platform in PLATFORMS:
            program, library = compiler.build(platform)
            target = folder / f"{contents.file_name}-{platform.name}{platform.suffix}"
            shutil.copyfile(program, target)
            target.chmod(0o755)
            (embed / platform.name).mkdir()
            shutil.copyfile(library, embed / platform.name / "libmodel.a")
    _put_licences(folder)


def _write_sources(contents: Contents, card: Card, work: Path) -> None:
    """All C files of the network."""
    text, workspace = model_c(contents)
    texts = {
        **fixed_files(),
        "model.c": text,
        "model.h": model_h(contents.card, workspace),
        "card.h": card_h(card),
    }
    for name, content in texts.items():
        (work / name).write_text(content, encoding="utf-8", newline="\n")


def _put_licences(folder: Path) -> None:
    """The licences of tenfold and of the C libraries."""
    put_licences(("tenfold",), folder)
    spec = find_spec("ziglang")
    for name, path in _RUNTIMES.items():
        text = Path((spec and spec.origin) or "").parent / "lib" / "libc" / path
        if not text.is_file():
            raise ExportError(
                f"native package: zig has no licence text {text}; install it again: pip install -U ziglang"
            )
        (folder / LICENCES / name).mkdir(parents=True)
        shutil.copyfile(text, folder / LICENCES / name / text.name)
