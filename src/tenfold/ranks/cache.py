"""Fits kept between runs, by a hash of everything they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from tenfold.core.atomic import write_text
from tenfold.core.errors import RunError
from tenfold.core.shapes import Rank

__all__ = ["DiskCache"]

# Raised with every change of a solver that changes its results.
_SOLVERS = 3


class DiskCache:
    """One small JSON file a kernel and scheme.

    A cache that cannot be read or written is not an error: the fits are then made anew.
    """

    def __init__(self, directory: Path) -> None:
        """Keep the files in `directory`, created when the first one is written."""
        self._directory = directory

    def key(self, kernels: tuple[Tensor, ...], scheme: str, sweeps: int) -> str:
        """Hash of the kernels' bytes and shapes, the scheme and the solver."""
        digest = hashlib.sha256(f"{_SOLVERS} {scheme} {sweeps}".encode())
        for kernel in kernels:
            digest.update(str(tuple(kernel.shape)).encode())
            digest.update(kernel.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def get(self, key: str) -> dict[Rank, float]:
        """Rank -> rise; empty where nothing (or nothing readable) is kept."""
        try:
            rows = json.loads((self._directory / f"{key}.json").read_text())
            return {tuple(rank): float(rise) for rank, rise in rows}
        except (OSError, ValueError, TypeError):
            return {}

    def put(self, key: str, rises: Mapping[Rank, float]) -> None:
        """Keep them; a killed process leaves no half file."""
        with suppress(OSError, RunError):
            self._directory.mkdir(parents=True, exist_ok=True)
            rows = [[list(rank), rise] for rank, rise in rises.items()]
            write_text(self._directory / f"{key}.json", json.dumps(rows))
