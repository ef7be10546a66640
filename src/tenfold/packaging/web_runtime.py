"""ONNX Runtime Web, fetched once from the npm registry and kept."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tenfold.core.atomic import write_bytes
from tenfold.core.errors import ExportError
from tenfold.data.cache import cache_directory

__all__ = ["RUNTIME_WEB_VERSION", "WebRuntime", "web_runtime"]

RUNTIME_WEB_VERSION = "1.30.0"
_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_ARCHIVE = f"onnxruntime-web-{RUNTIME_WEB_VERSION}.tgz"
_SCRIPT = "package/dist/ort.wasm.bundle.min.mjs"
_WASM = "package/dist/ort-wasm-simd-threaded.wasm"  # one thread unless the page asks for more
_SECONDS = 600
# npm waits for minutes by itself when there is no connection
_IMPATIENT = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")


@dataclass(frozen=True)
class WebRuntime:
    """What a page needs to run ONNX files.

    Attributes:
        script: JavaScript module.
        wasm: WebAssembly that it loads.
    """

    script: bytes
    wasm: bytes


def web_runtime() -> WebRuntime:
    """ONNX Runtime Web of version `RUNTIME_WEB_VERSION`, from the cache, or by npm into the cache.

    Raises:
        ExportError: it is not in the cache and there is no npm, or no connection; or what came is not what
            was asked for.
    """
    archive = cache_directory() / "onnxruntime-web" / _ARCHIVE
    data = archive.read_bytes() if archive.is_file() else b""
    if not _whole(data):
        data = _fetched(archive)
        archive.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(archive, data)
    with tarfile.open(fileobj=BytesIO(data)) as opened:
        script, wasm = (_member(opened, name) for name in (_SCRIPT, _WASM))
    return WebRuntime(script, wasm)


def _whole(data: bytes) -> bool:
    """Whether `data` is the archive of the pinned version."""
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == _INTEGRITY


def _fetched(archive: Path) -> bytes:
    """The archive from the registry that npm is set up for; checked."""
    asked = f"the web package needs ONNX Runtime Web {RUNTIME_WEB_VERSION}, which npm fetches once"
    otherwise = f"or put {_ARCHIVE} from another machine (npm pack onnxruntime-web@{RUNTIME_WEB_VERSION}) "
    otherwise += f"into {archive.parent}"
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(f"{asked}, but there is no npm: install Node.js with npm, {otherwise}")
    with tempfile.TemporaryDirectory(prefix="tenfold-npm-") as folder:
        command = [npm, "pack", f"onnxruntime-web@{RUNTIME_WEB_VERSION}", "--ignore-scripts", *_IMPATIENT]
        try:
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ExportError(
                f"{asked}, but it has not come in {_SECONDS} s: try again, {otherwise}"
            ) from None
        fetched = Path(folder) / _ARCHIVE
        if ended.returncode != 0 or not fetched.is_file():
            raise ExportError(
                f"{asked}, but npm failed ({_cause(ended.stderr)}): connect this machine, {otherwise}"
            )
        data = fetched.read_bytes()
    if not _whole(data):
        raise ExportError(f"{asked}, but what came has another SHA-512: the registry is not to be trusted")
    return data


def _cause(stderr: str) -> str:
    """The line of npm that tells most."""
    lines = [
        line.removeprefix("npm error").strip() for line in stderr.splitlines() if line.startswith("npm error")
    ]
    telling = [line for line in lines if line and not line.startswith("code ")]
    return (telling or lines or ["it said nothing"])[0]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of a file in the archive."""
    member = archive.extractfile(name)
    if member is None:
        raise ExportError(f"{_ARCHIVE}: {name} is no file; the pinned version of tenfold is wrong")
    return member.read()
