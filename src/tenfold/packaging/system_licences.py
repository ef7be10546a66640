"""The licences of libraries that the system's own packages brought."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tenfold.packaging.licences import LICENCES

__all__ = ["put_system_licences"]

_UNKNOWN = "UNKNOWN.txt"
_WITHOUT = "The licence texts of these libraries were not found where this package was built:\n"


def put_system_licences(libraries: Iterable[Path], folder: Path) -> None:
    """Copy the licences of system packages to `folder`/LICENSES/PACKAGE/.

    Debian's and Red Hat's kinds of systems are known. Libraries whose licence is not found are listed in
    LICENSES/UNKNOWN.txt.

    Args:
        libraries: files of the system that are in the package.
        folder: of the package.
    """
    unknown = []
    for library in sorted({path.resolve() for path in libraries}):
        texts = _debian(library) or _red_hat(library)
        for text in texts:
            target = folder / LICENCES / text.parent.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(text, target / text.name)
        if not texts:
            unknown.append(library.name)
    if unknown:
        (folder / LICENCES).mkdir(exist_ok=True)
        (folder / LICENCES / _UNKNOWN).write_text(_WITHOUT + "".join(f"{name}\n" for name in unknown))


def _debian(library: Path) -> list[Path]:
    """What Debian's packages say; the folder of a file may be one that /usr has taken over."""
    owners = _asked("dpkg-query", "--search", f"*/{library.name}")
    for line in owners:
        name = line.partition(":")[0]
        text = Path("/usr/share/doc") / name / "copyright"
        if text.is_file():
            return [text]
    return []


def _red_hat(library: Path) -> list[Path]:
    """What RPM packages say."""
    found = _asked("rpm", "--query", "--file", "--licensefiles", str(library))
    return [path for path in map(Path, found) if path.is_file()]


def _asked(*command: str) -> list[str]:
    """Lines that a program prints; none where there is no such program or it fails."""
    if shutil.which(command[0]) is None:
        return []
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout.splitlines() if ended.returncode == 0 else []
