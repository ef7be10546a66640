"""The whole tool as a bundle, for computers without Python: desktop program, command line, PyTorch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path

from tenfold.core.errors import ExportError
from tenfold.packaging.environment import (
    copy_distributions,
    copy_sources,
    needed_distributions,
    top_names,
)
from tenfold.packaging.freezing import ENDING, answer_of, check_pyinstaller, freeze, system_libraries
from tenfold.packaging.licences import put_licences, put_python_licence
from tenfold.packaging.system_licences import put_system_licences

__all__ = ["PROGRAM", "build_studio", "prove_studio"]

PROGRAM = "tenfold-studio"
"""Name of the program."""

_SPEC = Path(__file__).with_name("studio.spec")
_START = "from tenfold.cli.bundle import main\n\nmain()\n"
_PROOF = """import json
from importlib.metadata import version
import tenfold.studio.ui.window
from tenfold.zoo.build import architectures
print(json.dumps([version("tenfold"), *architectures()]))
"""
_INSIDE = "_internal"  # where programs by PyInstaller look for modules
_OWN = ("tenfold", "tenfold_runner")
_ROOT = Path(__file__).parents[2]  # where both lie side by side


def build_studio(folder: Path) -> None:
    """Put the desktop program with all it needs into `folder`.

    PyInstaller makes the program and brings Python with all of its own modules; every distribution that
    tenfold needs lies beside it as it lies in this environment. So nothing is missing that is imported by
    name.

    Raises:
        ExportError: PyInstaller, Tk or a part of the desktop program is not installed, PyInstaller fails, or
            PyTorch is one for graphics cards.
    """
    check_pyinstaller()
    if find_spec("_tkinter") is None:
        raise ExportError(
            "the desktop program needs Tk, which this Python was built without: install it "
            "(Debian: apt install python3-tk)"
        )
    needed = needed_distributions("tenfold", "studio") | needed_distributions("cryptography", "pack")
    _check_processor(needed)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        work = Path(name)
        made = _freeze(needed.values(), work)
        shutil.copytree(made, folder, dirs_exist_ok=True)
        put_system_licences(system_libraries(work), folder)
    copy_distributions(needed.values(), folder / _INSIDE)
    for package in _OWN:
        copy_sources(_ROOT / package, folder / _INSIDE)
    put_licences(("tenfold", "pyinstaller"), folder)  # those of the libraries lie beside them
    put_python_licence(folder)


def prove_studio(folder: Path) -> None:
    """Let the program load its window and list the networks it knows, in a process as it starts them itself.

    Raises:
        ExportError: it cannot.
    """
    answer_of([folder / f"{PROGRAM}{ENDING}", "-c", _PROOF])


def _check_processor(needed: dict[str, Distribution]) -> None:
    """Refuse a PyTorch that brings libraries for graphics cards."""
    for name in needed:
        if name.startswith(("nvidia-", "triton")):
            raise ExportError(
                f"this PyTorch brings {name}, gigabytes that a bundle for any computer cannot use: install "
                "PyTorch's build for processors (CPU) in an environment of its own, and pack there"
            )


def _freeze(needed: Iterable[Distribution], work: Path) -> Path:
    """The program and Python, without anything that `needed` holds."""
    start = work / "start.py"
    start.write_text(_START)
    places = {Path(str(found.locate_file(""))) for found in needed}
    probes = [path for place in places for path in place.glob("torch/lib/libtorch_cpu.so")]
    settings = {
        "start": str(start),
        "name": PROGRAM,
        "excluded": sorted(top_names(needed) | set(_OWN)),
        "packages": [str(place) for place in places],
        "probes": [str(path) for path in probes],
    }
    return freeze(_SPEC, settings, work) / PROGRAM
