"""A run directory that appears when it is complete, or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenfold.core.errors import RunError
from tenfold.runs.directory import RunDirectory

__all__ = ["free_run", "staged"]


def free_run(name: str) -> Path:
    """The first of runs/NAME, runs/NAME-2, ... that does not exist yet."""
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


@contextmanager
def staged(out: Path) -> Iterator[RunDirectory]:
    """A folder beside `out` to build a run in; it becomes `out` when the block ends.

    After any exception, Ctrl-C included, neither it nor a folder made for it is left.

    Raises:
        RunError: `out` exists and is not an empty folder, or cannot be made.
    """
    out = out.absolute()
    _refuse_taken(out)
    missing = [folder for folder in out.parents if not folder.exists()]
    run = RunDirectory.create(out.with_name(f".{out.name}.{secrets.token_hex(4)}.part"))
    try:
        yield run
        _publish(run.path, out)
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        for folder in missing:  # innermost first
            _remove_empty(folder)
        raise


def _refuse_taken(out: Path) -> None:
    """Say at once that there is something already, not after an hour of work."""
    try:
        taken = out.exists() and not (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise RunError(f"cannot look into {out}: {error.strerror}; choose another --out") from error
    if taken:
        raise RunError(f"cannot start a run in {out}: it exists; choose another --out or remove it")


def _publish(part: Path, out: Path) -> None:
    """Rename the finished folder."""
    try:
        if out.is_dir():
            out.rmdir()  # empty, or this fails
        part.replace(out)
    except OSError as error:
        raise RunError(
            f"cannot name the run {out}: {error.strerror or error}; choose another --out"
        ) from error


def _remove_empty(folder: Path) -> None:
    """Take a folder away unless someone has put something into it meanwhile."""
    try:
        folder.rmdir()
    except OSError:
        return
