"""A package on the disk, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tenfold.core.errors import RunError
from tenfold.packaging.contents import Contents
from tenfold.packaging.options import PackOptions
from tenfold.packaging.targets import target_of
from tenfold_runner.errors import PackageError
from tenfold_runner.manifest import MANIFEST, files_below, manifest_of, read_manifest

try:
    import fcntl
except ImportError:  # Windows refuses to remove a folder in which a file is open
    fcntl = None  # type: ignore[assignment]

__all__ = ["place_package", "write_package"]

_CACHES = "__pycache__"  # Python's own, beside the sources of a plain folder that was used


def write_package(
    target: str, contents: Contents, out: str | Path, options: PackOptions | None = None
) -> Path:
    """Build a package of some kind in a folder beside `out`, and put it in its place once it is complete.

    Args:
        target: a name of `tenfold.packaging.targets.TARGETS`.
        contents: network and card.
        out: folder to make. A package that is there is replaced; a failed or killed build leaves it as it
            was, and what a killed one leaves behind goes with the next build.
        options: wishes of the user.

    Returns:
        `out`, with its manifest.

    Raises:
        UnknownNameError: there is no such target.
        ExportError: the target has not some option that is asked for, or the package cannot be
            built or does not work.
        RunError: `out` is no package, holds files that are not of it, or cannot be written.
    """
    options = options or PackOptions()
    kind = target_of(target)
    kind.check(options)

    def build(folder: Path) -> None:
        kind.build(contents, folder, options)

    def prove(folder: Path) -> None:
        if kind.prove is not None:
            kind.prove(contents, folder, options)

    return place_package(Path(out), build, prove)


def place_package(out: Path, build: Callable[[Path], None], prove: Callable[[Path], None]) -> Path:
    """Let `build` fill a folder, add the manifest, and put it at `out` once `prove` has found nothing wrong.

    Raises:
        ExportError: what `build` and `prove` raise.
        RunError: as `write_package`.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clean(out)
        _check_replaceable(out)
        with _workplace(out) as folder:
            build(folder)
            (folder / MANIFEST).write_text(manifest_of(folder), encoding="utf-8", newline="\n")
            prove(folder)
            _flush(folder)
            _replace(folder, out)
    except OSError as error:
        raise RunError(
            f"cannot write the package {out}: {error.strerror or error}; free space or choose another --out"
        ) from error
    return out


def _hidden(out: Path, kind: str) -> Path:
    """A name beside `out` that no one else uses."""
    return out.with_name(f".{out.name}.{secrets.token_hex(8)}.{kind}")


@contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is held while the block lasts, and gone after it."""
    folder = _hidden(out, "part")
    folder.mkdir()
    handle = _hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _hold(folder: Path) -> int | None:
    """Keep other builds from clearing `folder` away; None where the system has no locks on folders."""
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _held(folder: Path) -> bool:
    """Whether a build that is going on works in `folder`; where that cannot be told, it is taken to be."""
    if fcntl is None:
        return True
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _clean(out: Path) -> None:
    """Put back or remove what a build of `out` that was killed left beside it."""
    for old in out.parent.glob(f".{_literal(out.name)}.*.old"):
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(out)  # it was killed between the two renames
    for part in out.parent.glob(f".{_literal(out.name)}.*.part"):
        with suppress(FileNotFoundError):  # another build has just ended
            if not _held(part):
                shutil.rmtree(part, ignore_errors=True)


def _literal(name: str) -> str:
    """A name as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _check_replaceable(out: Path) -> None:
    """Refuse to replace what is no package, or one into which someone put files of their own."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise RunError(f"cannot write a package to {out}: it exists and is none; choose another --out")
    try:
        known = read_manifest(out)
    except PackageError as error:
        raise RunError(f"cannot replace {out}: {error}") from error
    for name in files_below(out):
        if name not in known and name != MANIFEST and f"/{_CACHES}/" not in f"/{name}":
            raise RunError(
                f"cannot replace the package {out}: {name} is not part of it; "
                "move it away or choose another --out"
            )


def _flush(folder: Path) -> None:
    """Make the files survive a power cut after the rename."""
    for name in files_below(folder):
        path = folder / name
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb" if mode & stat.S_IWUSR == 0 else "r+b") as file:
            os.fsync(file.fileno())


def _replace(folder: Path, out: Path) -> None:
    """Put `folder` in the place of `out`."""
    old = _hidden(out, "old")
    if out.exists():
        out.rename(old)
    try:
        folder.rename(out)
    except OSError:
        with suppress(OSError):
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
