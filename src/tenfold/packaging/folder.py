"""The plain folder: the runner as source, for a device that has Python."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import tenfold_runner
from tenfold.core.errors import ExportError
from tenfold.packaging.contents import CARD, MODEL, Contents, card_text
from tenfold.packaging.icon import put_icon
from tenfold.packaging.licences import put_licences
from tenfold.packaging.options import PackOptions
from tenfold_runner.protect import ENCRYPTED, encrypt

__all__ = ["NEEDED", "NEEDED_PROTECTED", "NEEDED_WINDOW", "build_folder", "put_contents"]

NEEDED = ("numpy", "onnxruntime", "pillow")
"""What the runner imports."""

NEEDED_WINDOW = ("tkinterdnd2",)
"""What its window imports to let files be dropped."""

NEEDED_PROTECTED = ("argon2-cffi", "cryptography")
"""What it imports to open a protected network."""

_START = '''"""Classify images: python FOLDER --help."""

import sys

sys.dont_write_bytecode = True  # the folder stays as its manifest says

try:
    from tenfold_runner.command import main

    sys.exit(main())
except ModuleNotFoundError as error:
    needed = __file__.replace("__main__.py", "requirements.txt")
    sys.exit(f"error: {error.name} is not installed: {sys.executable} -m pip install -r {needed}")
'''


def build_folder(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Put network, card and runner into `folder`; ``python FOLDER`` starts it."""
    put_contents(contents, folder, options)
    source = Path(tenfold_runner.__file__).parent
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "__main__.py").write_text(_START, encoding="utf-8", newline="\n")
    ciphers = () if options.passphrase is None else NEEDED_PROTECTED
    needed = _requirements((*NEEDED, *NEEDED_WINDOW, *ciphers))
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in needed), newline="\n")
    put_licences(("tenfold",), folder)


def put_contents(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Put network, card and icon into `folder`; the network encrypted if a passphrase is given.

    Raises:
        ExportError: what encrypts is not installed, or the icon is no picture.
    """
    card = card_text(contents.card).encode()
    (folder / CARD).write_bytes(card)
    if options.icon is not None:
        put_icon(options.icon, folder)
    if options.passphrase is None:
        (folder / MODEL).write_bytes(contents.model)
        return
    try:
        protected = encrypt(contents.model, card, options.passphrase)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"a protected package needs {error.name}, which is not installed: pip install 'tenfold[pack]'"
        ) from None
    (folder / ENCRYPTED).write_bytes(protected)


def _requirements(names: tuple[str, ...]) -> list[str]:
    """The versions of other packages that tenfold itself asks for."""
    try:
        listed = requires("tenfold") or []
    except PackageNotFoundError:  # it runs from its sources
        listed = []
    asked = {re.split(r"[^A-Za-z0-9-]", line)[0]: line.partition(";")[0].strip() for line in listed}
    return [asked.get(name, name) for name in names]
