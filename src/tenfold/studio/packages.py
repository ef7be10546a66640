"""Finished packages: what they weigh, and how they are started here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tenfold.studio.errors import StudioError
from tenfold_runner.manifest import MANIFEST, files_below

__all__ = ["TARGETS", "Package", "Served", "classify", "program_of", "read_package", "start"]

TARGETS: Mapping[str, str] = {
    "desktop": "A program with a window, for this kind of system; needs no Python on the device.",
    "cli": "A program for the terminal, for this kind of system; needs no Python on the device.",
    "native": "Programs of about a megabyte without any dependency, for Linux and Windows, and a C library.",
    "web": "A folder that a browser or a phone runs offline, from any web server.",
    "folder": "The plain runner, for a device that has Python.",
}
"""Kinds of packages -> what they are."""

_PATH = "package: "
_PROGRAM_BYTES = 50_000  # smaller executables are scripts and libraries
_FAILS_WITHIN_S = 3.0  # a program that cannot open its window

_started: list[subprocess.Popen[bytes]] = []  # not ours to end; a Popen that is dropped would complain


@dataclass(frozen=True)
class Package:
    """A package on the disk.

    Attributes:
        path: its folder.
        target: kind; one of `TARGETS`.
        files: how many there are.
        size_bytes: of all of them.
        sha256: of its manifest, which names every file.
        protected: whether a passphrase opens its network.
    """

    path: Path
    target: str
    files: int
    size_bytes: int
    sha256: str
    protected: bool = False


def read_package(target: str, log: str, *, protected: bool = False) -> Package:
    """The package that a job has made.

    Args:
        target: kind.
        log: what the job printed.
        protected: whether it was asked to protect the network.

    Raises:
        StudioError: it names no package, or the package is gone.
    """
    named = [line.removeprefix(_PATH) for line in log.splitlines() if line.startswith(_PATH)]
    if not named:
        raise StudioError("the job has made no package; see its log on the page Jobs")
    path = Path(named[-1])
    try:
        names = list(files_below(path))
        size = sum((path / name).stat().st_size for name in names)
        digest = hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise StudioError(f"cannot read the package {path}: {error.strerror}; make it again") from None
    return Package(path, target, len(names), size, digest, protected)


def program_of(package: Package) -> list[str]:
    """What starts the package on this computer.

    Raises:
        StudioError: nothing in it runs here.
    """
    if package.target == "folder":
        python = _python()
        if python is None:
            raise StudioError(
                f"{package.path} needs Python, and there is none on this computer; open its folder"
            )
        return [python, str(package.path)]
    here = "windows" if os.name == "nt" else "linux"
    programs = [
        path
        for path in sorted(package.path.iterdir())
        if path.is_file() and os.access(path, os.X_OK) and path.stat().st_size > _PROGRAM_BYTES
    ]
    if package.target == "native":
        machine = os.uname().machine if os.name == "posix" else "x86_64"
        programs = [path for path in programs if here in path.name and machine in path.name]
    if not programs:
        raise StudioError(f"nothing in {package.path} runs on this computer; open its folder")
    return [str(programs[0])]


def _python() -> str | None:
    """A Python that runs a folder; the program of a bundle is none."""
    return shutil.which("python3") if getattr(sys, "frozen", False) else sys.executable


def start(package: Package) -> None:
    """Start a program with a window; it goes on when this one ends. Waits until it has not failed at once.

    Raises:
        StudioError: it does not start, or ends with an error; what it said is in the message.
    """
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would stop it once it is full
        try:
            program = subprocess.Popen(
                program_of(package),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise _no_start(package, error) from None
        try:
            ended = program.wait(_FAILS_WITHIN_S)
        except subprocess.TimeoutExpired:
            _started[:] = [program, *(other for other in _started if other.poll() is None)]
            return
        if ended:
            said.seek(0)
            raise StudioError(_last_words(said.read().decode(errors="replace"), ended))


def _no_start(package: Package, error: OSError) -> StudioError:
    """The system refuses to start it."""
    return StudioError(f"cannot start {package.path}: {error.strerror}; make the package again")


def _last_words(said: str, status: int) -> str:
    """What a program said before it ended."""
    return said.strip() or f"the program ended with {status}"


def classify(package: Package, image: Path, passphrase: str | None = None) -> str:
    """What a program for the terminal says of an image.

    Args:
        package: its target is no window's and no browser's.
        image: file.
        passphrase: of a protected one; the program reads it from its input.

    Raises:
        StudioError: it does not start, or refuses the image.
    """
    given = ["--image", str(image)] if package.target in ("cli", "folder") else [str(image)]
    if passphrase is not None:
        given.append("--passphrase-stdin")
    try:
        ended = subprocess.run(
            [*program_of(package), *given],
            input="" if passphrase is None else f"{passphrase}\n",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise _no_start(package, error) from None
    if ended.returncode:
        raise StudioError(_last_words(ended.stderr, ended.returncode))
    return ended.stdout.strip()


class Served:
    """A web package, served to this computer's browser alone.

    Attributes:
        address: to open.
    """

    def __init__(self, package: Package) -> None:
        """Begin to serve, on a free port."""
        handler = partial(_Quiet, directory=str(package.path))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a word on the terminal."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
