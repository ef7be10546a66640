"""The native package: programs without any dependency, and the network as a C library."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tenfold.core.errors import ExportError
from tenfold.deploy.runtime import session
from tenfold.packaging.contents import CARD, Contents, card_text
from tenfold.packaging.licences import LICENCES, put_licences
from tenfold.packaging.native_compile import PLATFORMS, Compiler, Platform
from tenfold.packaging.native_files import card_h, fixed_files, model_c, model_h
from tenfold.packaging.options import PackOptions
from tenfold_runner.card import Card

__all__ = ["build_native", "program_name", "prove_native", "write_sources"]

_EMBED = "embed"
_EMBEDDED = ("model.c", "model.h", "prepare.c")
_LIBRARIES = {"musl": "musl/COPYRIGHT", "mingw-w64": "mingw/COPYING"}  # C libraries inside the programs
_ALIKE = 1e-4  # of the largest logit; sums in another order differ by a few 1e-7
_SECONDS = 600


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
    with tempfile.TemporaryDirectory(prefix="tenfold-native-") as name:
        work, embed = Path(name), folder / _EMBED
        compiler = Compiler(work)
        write_sources(contents, work)
        shutil.copyfile(work / CARD, folder / CARD)
        embed.mkdir()
        for file in _EMBEDDED:
            shutil.copyfile(work / file, embed / file)
        for one in PLATFORMS:
            program, library = compiler.build(one)
            target = folder / program_name(contents, one)
            shutil.copyfile(program, target)
            target.chmod(0o755)
            (embed / one.name).mkdir()
            shutil.copyfile(library, embed / one.name / "libmodel.a")
    _put_licences(folder)


def program_name(contents: Contents, platform: Platform) -> str:
    """The program for a platform."""
    return f"{contents.file_name}-{platform.name}{platform.suffix}"


def prove_native(contents: Contents, folder: Path, options: PackOptions) -> None:  # noqa: ARG001
    """Let the program for this machine answer, and compare that with ONNX Runtime; elsewhere there is none.

    Raises:
        ExportError: it does not start, or answers differently.
    """
    here = (
        f"{platform.system()}-{platform.machine()}".lower()
        .replace("aarch64", "arm64")
        .replace("amd64", "x86_64")
    )
    ours = [one for one in PLATFORMS if one.name == here]
    if not ours:
        return
    image = np.sin(np.arange(np.prod(contents.card["input"]), dtype=np.float32) * np.float32(0.7))
    network = session(contents.model, threads=1)
    (expected,) = network.run(None, {network.get_inputs()[0].name: image.reshape(1, *contents.card["input"])})
    met = _answer(folder / program_name(contents, ours[0]), image.astype("<f4").tobytes())
    worst = float(np.abs(met - expected[0]).max() / np.abs(expected).max())
    if not worst <= _ALIKE:
        raise ExportError(
            f"the program that was made answers differently from ONNX Runtime: by {worst:.1e} of the largest "
            f"logit, allowed {_ALIKE:.0e}; install ziglang again, or pack for the desktop"
        )


def _answer(program: Path, image: bytes) -> np.ndarray:
    """The logits that a program prints for the numbers of an image."""
    ended = subprocess.run(
        [program, "--json", "--logits", "-"], input=image, capture_output=True, timeout=_SECONDS, check=False
    )
    try:
        (row,) = json.loads(ended.stdout)
    except ValueError:
        said = (ended.stderr.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise ExportError(f"the program that was made does not work here; it says: {said}") from None
    return np.array(row["logits"], dtype=np.float64)


def write_sources(contents: Contents, folder: Path) -> None:
    """Put all C files of the program and the network into `folder`.

    Raises:
        ExportError: the network holds an operator that is not covered.
    """
    network, workspace = model_c(contents)
    (folder / CARD).write_text(card_text(contents.card), encoding="utf-8", newline="\n")
    card = card_h(Card.read(folder / CARD))
    made = {"model.c": network, "model.h": model_h(contents.card, workspace), "card.h": card}
    for name, text in {**fixed_files(), **made}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _put_licences(folder: Path) -> None:
    """The licences of tenfold and of the C libraries."""
    put_licences(("tenfold",), folder)
    spec = find_spec("ziglang")
    zig = Path((spec and spec.origin) or "").parent
    for name, path in _LIBRARIES.items():
        text = zig / "lib" / "libc" / path
        if not text.is_file():
            raise ExportError(f"zig has no licence text {text}; install it again: pip install -U ziglang")
        (folder / LICENCES / name).mkdir(parents=True)
        shutil.copyfile(text, folder / LICENCES / name / text.name)
