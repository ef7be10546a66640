"""PyInstaller in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tenfold.core.errors import ExportError

__all__ = ["ENDING", "answer_of", "check_pyinstaller", "freeze", "refuse_in_bundle", "system_libraries"]

ENDING = ".exe" if os.name == "nt" else ""
"""Of the names of programs."""

_MINUTES = 30


def refuse_in_bundle() -> None:
    """Refuse to build a program by a program that has no Python to do it with.

    Raises:
        ExportError: this is the bundle of the whole tool.
    """
    if getattr(sys, "frozen", False):
        raise ExportError(
            "this bundle cannot build programs: copy the run to a computer with Python, install "
            "'tenfold[pack,native]' there and pack it; the targets folder and web can be packed here"
        )


def check_pyinstaller() -> None:
    """Refuse to begin where PyInstaller cannot build programs.

    Raises:
        ExportError: it is not installed, or this is a bundle itself.
    """
    refuse_in_bundle()
    if importlib.util.find_spec("PyInstaller") is None:
        raise ExportError("PyInstaller is not installed: pip install 'tenfold[pack]'")


def freeze(spec: Path, settings: Mapping[str, Any], work: Path) -> Path:
    """Build what a spec file of this package describes.

    Args:
        spec: the file; it gets the name of a JSON file with the settings.
        settings: JSON values; "work" is added to them.
        work: folder for what is made on the way.

    Returns:
        The folder in which the program is, or the folder around it.

    Raises:
        ExportError: PyInstaller fails, or takes more than half an hour.
    """
    (work / "order.json").write_text(json.dumps({**settings, "work": str(work)}))
    places = ["--distpath", str(work / "dist"), "--workpath", str(work / "build")]
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", *places]
    _run([*command, str(spec), "--", str(work / "order.json")], work)
    return work / "dist"


def answer_of(command: Sequence[str | Path], given: str = "") -> list[Any]:
    """The list that a program which was made prints as JSON; `given` is what it can read.

    Raises:
        ExportError: it prints none, or an empty one.
    """
    ended = subprocess.run(
        command,
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60 * _MINUTES,
        check=False,
    )
    try:
        found: list[Any] = json.loads(ended.stdout)
    except ValueError:
        found = []
    if not found:
        raise ExportError(
            f"the program that was made does not work here; it says: {_last_words(ended.stderr)}; "
            "install what that names again, or pack in a new environment"
        )
    return found


def system_libraries(work: Path) -> list[Path]:
    """The libraries in the program made in `work` that came neither with Python nor from PyPI."""
    sources = [Path(name) for name in json.loads((work / "sources.json").read_text(encoding="utf-8"))]
    known = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, work)} - {Path("/usr")}
    return [path for path in sources if not any(path.resolve().is_relative_to(place) for place in known)]


def _run(command: list[str], work: Path) -> None:
    """Run PyInstaller; what it says is shown only if it fails."""
    same = {"PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "315532800"}  # equal packages from equal contents
    try:
        ended = subprocess.run(
            command,
            cwd=work,
            env={**os.environ, **same, "PYINSTALLER_CONFIG_DIR": str(work / "config")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60 * _MINUTES,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"PyInstaller was not done after {_MINUTES} minutes; try again") from None
    if ended.returncode:
        last = ended.stdout.strip().splitlines()[-1:] or ["it says nothing"]
        raise ExportError(f"PyInstaller failed: {last[0]}")


def _last_words(said: str) -> str:
    """The last line of what a program told before it ended, as a rule its exception."""
    lines = said.strip().splitlines() or ["nothing"]
    own = [line for line in lines if not line.startswith("[PYI-")]  # what PyInstaller adds names no reason
    return (own or lines)[-1]
