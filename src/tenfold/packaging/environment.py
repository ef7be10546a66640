"""The distributions that tenfold runs with, as files: what a bundle of the whole tool holds."""

from __future__ import annotations

import importlib.util
import marshal
import re
import shutil
import struct
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackagePath, distributions
from pathlib import Path

from tenfold.core.errors import ExportError

__all__ = ["copy_distributions", "copy_sources", "needed_distributions", "top_names"]

_DEVELOPMENT = {"include", "test", "tests", "cmake"}  # folders that programs do not read
_SOURCES = {".a", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".lib", ".pc", ".pxd", ".pyi", ".pyx"}
_OTHERS = re.compile(r"torch/bin/(?!torch_shm_manager)|onnxruntime/capi/libonnxruntime\.")
"""Programs that test PyTorch, and ONNX Runtime for other languages."""

_HEAD = 16  # bytes of a .pyc before its code
_UNCHECKED = 0b01  # it holds a hash of its source, which is not looked at; see PEP 552


def needed_distributions(name: str, extra: str) -> dict[str, Distribution]:
    """A distribution, its extra and all they need here, by name.

    Raises:
        ExportError: one is not installed.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415  it comes with PyInstaller

    asked, found = [(name, {"", extra})], {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while asked:
        name, extras = asked.pop()
        key = (_canonical(name), tuple(sorted(extras)))
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = installed = _installed(name, extra)
        for requirement in map(Requirement, installed.requires or []):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": one}) for one in extras):
                asked.append((requirement.name, {"", *requirement.extras}))
    return dict(sorted(found.items()))


def top_names(distributions: Iterable[Distribution]) -> set[str]:
    """The names by which programs import what is in these distributions."""
    files = (file for found in distributions for file in _shipped(found))
    return {file.parts[0].partition(".")[0] for file in files if not file.parts[0].endswith(".dist-info")}


def copy_distributions(distributions: Iterable[Distribution], folder: Path) -> None:
    """Copy the files of distributions into `folder`, as they lie in an environment.

    What only compilers and tests read is left out. Bytecode comes along in the form that holds whatever the
    dates of the copied files become.
    """
    for found in distributions:
        for file in _shipped(found):
            _copy(Path(str(file.locate())), folder / Path(*file.parts))


def copy_sources(package: Path, folder: Path) -> None:
    """Copy a package that lies in a folder, with all its files, into `folder`."""
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            _copy(path, folder / path.relative_to(package.parent))


def _installed(name: str, extra: str) -> Distribution:
    """A distribution of this environment, as it was installed.

    A folder of sources that is on the path (PYTHONPATH) has metadata too, and is found first. It lists the
    sources: a program made of that would not know its own version.
    """
    found = next((one for one in distributions(name=name) if one.read_text("RECORD") is not None), None)
    if found is None:
        raise ExportError(f"{name} is not installed: pip install 'tenfold[{extra}]'")
    return found


def _canonical(name: str) -> str:
    """A name as indexes of packages compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _shipped(found: Distribution) -> Iterator[PackagePath]:
    """The files of a distribution that its programs read; not those outside of the folder of packages."""
    for file in found.files or []:
        inside = file.parts[0] != ".." and not file.is_absolute()
        left_out = {*_DEVELOPMENT, "__pycache__"}.intersection(file.parts[:-1]) or _OTHERS.match(str(file))
        startup = file.suffix == ".pth" or file.name.startswith("__editable__")
        if inside and not left_out and not startup and file.suffix not in _SOURCES:
            yield file


def _copy(source: Path, target: Path) -> None:
    """Copy a file, and of a module its bytecode."""
    if not source.is_file():  # a list of files may name some that were removed since
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    if source.suffix == ".py":
        _put_bytecode(source, target)


def _put_bytecode(source: Path, target: Path) -> None:
    """Put bytecode beside a copied module: that of the environment if it is up to date, else new one."""
    content = source.read_bytes()
    code = _cached(source) or _compiled(content, source.name)
    if code is None:
        return
    place = Path(importlib.util.cache_from_source(str(target)))
    place.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED) + importlib.util.source_hash(content)
    place.write_bytes(head + code)


def _cached(source: Path) -> bytes | None:
    """The code in the bytecode that the environment has of a module, if it is of this very file."""
    stamp = source.stat()
    head = struct.pack("<III", 0, int(stamp.st_mtime) & 0xFFFFFFFF, stamp.st_size & 0xFFFFFFFF)
    try:
        found = Path(importlib.util.cache_from_source(str(source))).read_bytes()
    except OSError:
        return None
    return found[_HEAD:] if found.startswith(importlib.util.MAGIC_NUMBER + head) else None


def _compiled(content: bytes, name: str) -> bytes | None:
    """The code of a module; None if it is of another version of Python, as some that are templates are."""
    try:
        return marshal.dumps(compile(content, name, "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None
