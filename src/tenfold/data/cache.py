"""Decoded images kept on disk, so that the second start of a job need not decode again."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tenfold.core.errors import TenfoldError
from tenfold.data.dataset import Dataset

__all__ = ["cache_directory", "cached"]

_VERSION = 2  # of what the readers make of a file; raise it when they change


def cache_directory() -> Path:
    """Where tenfold keeps what it can make again: TENFOLD_CACHE, else ``~/.cache/tenfold``."""
    return Path(os.environ.get("TENFOLD_CACHE") or Path.home() / ".cache" / "tenfold")


def cached(
    path: Path, options: str, decode: Callable[[], tuple[Dataset, Dataset]]
) -> tuple[Dataset, Dataset]:
    """What `decode` gives, from the cache if `path` has not changed since.

    One cache file for each `path` and `options`; it is replaced when size or modification time of `path`
    change. A cache that is broken, full or not writable only costs time.

    Args:
        path: the file that `decode` reads.
        options: whatever else the result depends on, as text.
        decode: makes (train, test), both with the same classes.

    Returns:
        (train, test).
    """
    stamp = path.stat()
    state = json.dumps([_VERSION, str(path.resolve()), stamp.st_size, stamp.st_mtime_ns, options])
    name = hashlib.sha256(f"{path.resolve()}\n{options}".encode()).hexdigest()[:24]
    file = cache_directory() / "decoded" / f"{name}.safetensors"
    found = _load(file, state)
    if found is None:
        found = decode()
        _store(file, state, found)
    return found


def _load(file: Path, state: str) -> tuple[Dataset, Dataset] | None:
    """Both splits, if `file` is whole and was made in this `state`."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("state") != state:
                return None
            classes = tuple(json.loads(metadata["classes"]))
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (no mapping)
        train, test = (
            Dataset(tensors[f"{split}.images"], tensors[f"{split}.labels"], classes)
            for split in ("train", "test")
        )
    except (OSError, SafetensorError, KeyError, ValueError, TenfoldError):
        return None
    return train, test


def _store(file: Path, state: str, splits: tuple[Dataset, Dataset]) -> None:
    """Write `file` whole or not at all; give up in silence, for nothing is lost but time."""
    tensors = {
        f"{name}.{field}": getattr(split, field).contiguous()
        for name, split in zip(("train", "test"), splits, strict=True)
        for field in ("images", "labels")
    }
    metadata = {"state": state, "classes": json.dumps(splits[0].classes)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            part = Path(folder) / "part"
            save_file(tensors, part, metadata)
            with part.open("rb") as opened:
                os.fsync(opened.fileno())
            part.replace(file)
    except (OSError, SafetensorError):
        return
