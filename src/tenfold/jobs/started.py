"""A run directory from the moment a job begins: one that can be gone on with, or none at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from tenfold.core.errors import InterruptedRunError, RunError, TenfoldError
from tenfold.runs.directory import RunDirectory

__all__ = ["alone_in", "free_run", "gone_on_with", "started", "threads"]


def free_run(name: str) -> Path:
    """The first of runs/NAME, runs/NAME-2, ... that does not exist yet."""
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


@contextmanager
def started(out: Path) -> Iterator[RunDirectory]:
    """The folder `out` for a new run.

    If the block ends with an exception, Ctrl-C included, before anything was computed that is worth going on
    from, neither it nor a folder made for it is left. Later it stays, and the error says how to go on.

    Raises:
        RunError: `out` exists and is not an empty folder, cannot be made, or another process works in it.
        InterruptedRunError: Ctrl-C.
    """
    missing = [folder for folder in out.absolute().parents if not folder.exists()]
    run = RunDirectory.create(out)
    with alone_in(run):
        try:
            with gone_on_with(run):
                yield run
        except BaseException:
            if not run.resumable:
                shutil.rmtree(out, ignore_errors=True)
                for folder in missing:  # innermost first
                    _remove_empty(folder)
            raise


@contextmanager
def gone_on_with(run: RunDirectory) -> Iterator[None]:
    """Let every error of the block say how to go on, if that is possible.

    Raises:
        InterruptedRunError: Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        error = InterruptedRunError("interrupted")
        error.resumable = run.path if run.resumable else None
        raise error from None
    except TenfoldError as error:
        error.resumable = run.path if run.resumable else None
        raise


@contextmanager
def alone_in(run: RunDirectory) -> Iterator[None]:
    """Let no other process work in the run meanwhile; the system forgets a process that was killed.

    Raises:
        RunError: one does already.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(run.lock, timeout=0))
            stack.callback(_remove_held, run.lock)
        except Timeout:
            raise RunError(
                f"cannot go on with {run.path}: another process works in it; wait for its end, or stop it"
            ) from None
        except (OSError, NotImplementedError):
            # A file system without locks, in the words of the lock; or nothing can be written, and what is
            # written first says so.
            pass
        yield


def _remove_held(lock: Path) -> None:
    """Remove the file of a lock before it is released: whoever opened it meanwhile sees that it is gone.

    Windows does not remove what is open; there the lock does it itself.
    """
    with suppress(OSError):
        lock.unlink()


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Torch with that many threads; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _remove_empty(folder: Path) -> None:
    """Take a folder away unless someone has put something into it meanwhile."""
    try:
        folder.rmdir()
    except OSError:
        return
