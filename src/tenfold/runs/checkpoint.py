"""What the finished phases of a job left behind, and where the present one stands."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from tenfold.core.atomic import replacing
from tenfold.core.errors import RunError

__all__ = ["Checkpoint", "Place"]


class Checkpoint:
    """A folder of states by name; each is dictionaries and lists of numbers, texts and tensors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = Checkpoint(Path(folder) / "checkpoint")
        ...     checkpoint.save("training", {"step": 3})
        ...     checkpoint.load("training"), checkpoint.load("recovery")
        ({'step': 3}, None)
    """

    def __init__(self, folder: Path | None, *, writes: bool = True) -> None:
        """Name the folder, made with the first state; None keeps nothing.

        Args:
            folder: of the states.
            writes: whether `save` does anything: one process of several writes, all read.
        """
        self._folder = folder
        self._writes = writes

    def load(self, name: str) -> dict[str, Any] | None:
        """The state that was saved last; None where there is none. No foreign object is unpickled.

        Raises:
            RunError: the file cannot be read.
        """
        path = self._folder / f"{name}.pt" if self._folder else None
        if path is None or not path.exists():
            return None
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
            cause = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]
            raise RunError(f"cannot read {path}: {cause}; remove it, and its phase begins anew") from error
        if not isinstance(found, dict):
            raise RunError(f"cannot read {path}: it holds no state; remove it, and its phase begins anew")
        return found

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """Keep a state, in full or not at all.

        Raises:
            RunError: the file cannot be written, for instance on a full disk; the state before is untouched.
        """
        if self._folder is None or not self._writes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make {self._folder}: {error.strerror or error}; make the run's folder writable"
            ) from error
        with replacing(self._folder / f"{name}.pt") as file:
            _write(file, dict(state))

    def place(self, name: str) -> Place:
        """Where one phase finds and leaves its state."""
        return Place(self, name)


def _write(file: BinaryIO, state: dict[str, Any]) -> None:
    """Write a state straight to a file, without a second copy in memory: it has 0.8 GB for a VGG-16."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # Torch's writer goes on after the file's own error, and raises its own over it.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


@dataclass(frozen=True)
class Place:
    """One state of a checkpoint.

    Attributes:
        checkpoint: that it is in.
        name: its own.
    """

    checkpoint: Checkpoint
    name: str

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None where there is none."""
        return self.checkpoint.load(self.name)

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state, in full or not at all."""
        self.checkpoint.save(self.name, state)
