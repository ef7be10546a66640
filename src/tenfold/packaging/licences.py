"""The licences of what is inside a package."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from tenfold.core.errors import ExportError

__all__ = ["LICENCES", "put_licences", "put_python_licence"]

LICENCES = "LICENSES"
"""The folder in a package."""

_TEXTS = re.compile(r"(licen[cs]e|copying|notice|copyright|thirdparty|authors)", re.IGNORECASE)
_SOURCES = (".py", ".pyc", ".so", ".pyd", ".h")


def put_licences(names: Iterable[str], folder: Path) -> None:
    """Copy the licence texts of installed distributions to `folder`/LICENSES/NAME-VERSION/.

    Raises:
        ExportError: one is not installed or has no licence text.
    """
    for name in names:
        # a folder of sources that was installed for development is found twice, once without its files
        found = next(((one, texts) for one in distributions(name=name) if (texts := _texts(one))), None)
        if found is None:
            raise ExportError(f"{name} is not installed with its licence text; install it again")
        target = folder / LICENCES / f"{found[0].name}-{found[0].version}"
        target.mkdir(parents=True, exist_ok=True)
        for path, text in found[1].items():
            (target / path).write_bytes(text)


def put_python_licence(folder: Path) -> None:
    """Copy the licence of Python itself.

    Raises:
        ExportError: it is not where installations of Python have it.
    """
    places = (Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix), Path("/usr/share/doc/python3"))
    for place in places:
        for name in ("LICENSE.txt", "LICENSE", "copyright"):
            if (place / name).is_file():
                target = folder / LICENCES / f"Python-{platform.python_version()}"
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(place / name, target / "LICENSE.txt")
                return
    raise ExportError(f"the licence of Python was not found in {places[0]}; install Python again")


def _texts(found: Distribution) -> dict[str, bytes]:
    """The licence files of a distribution, under names without folders."""
    texts: dict[str, bytes] = {}
    for file in found.files or []:
        path = Path(str(file.locate()))
        if _TEXTS.search(file.name) and file.suffix not in _SOURCES and path.is_file():
            name = file.name if file.name not in texts else "-".join(file.parts[-3:])
            texts[name] = path.read_bytes()
    return texts
