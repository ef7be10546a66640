"""The networks of a finished run: the compressed one, and the original where it can be built again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tenfold.config import job_settings, read_toml
from tenfold.core.errors import RunError, TenfoldError
from tenfold.jobs.network import network_of
from tenfold.runs.directory import RunDirectory
from tenfold.runs.saved import load

__all__ = ["Shipped", "shipped"]

_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Shipped:
    """What a run made, and of what.

    Attributes:
        model: the compressed network, float32, in eval mode.
        shape: (channels, height, width) of an image.
        original: the network it was made of, float32; None where that could not be built again.
        reason: why not; empty otherwise.
    """

    model: nn.Module
    shape: _Shape
    original: nn.Module | None
    reason: str


def shipped(run: Path) -> Shipped:
    """Load the networks of a run directory.

    Raises:
        RunError: the run is incomplete.
    """
    directory = RunDirectory.open(run)
    metadata = _metadata(directory)
    shape = _shape(directory, metadata)
    original, reason = _original(directory, metadata)
    model = load(run, model=original if original is not None and not metadata["graph"] else None).float()
    if not metadata["graph"]:
        original, reason = _original(directory, metadata)  # the chains were put into the first one
    return Shipped(model, shape, original.float() if original is not None else None, reason)


def _metadata(directory: RunDirectory) -> dict[str, Any]:
    """What model.json says beside the network; "graph" says whether it rebuilds without its code."""
    try:
        content = json.loads(directory.model.read_text(encoding="utf-8"))
        return {**content["metadata"], "graph": content["graph"] is not None}
    except OSError as error:
        cause = error.strerror or str(error)
    except (ValueError, KeyError, TypeError) as error:
        cause = f"it is not what tenfold wrote ({error!r})"
    raise RunError(f"cannot read {directory.model}: {cause}; restore the file or run the job again")


def _shape(directory: RunDirectory, metadata: dict[str, Any]) -> _Shape:
    """Channels, height and width of an image."""
    match metadata.get("input"):
        case [int(channels), int(height), int(width)]:
            return channels, height, width
    raise RunError(f"{directory.model} does not say the size of an image: restore it or run the job again")


def _original(directory: RunDirectory, metadata: dict[str, Any]) -> tuple[nn.Module | None, str]:
    """The network of the run's job file, or the reason why there is none."""
    try:
        settings = job_settings(read_toml(directory.job))
        classes, channels = len(metadata["classes"]), int(metadata["input"][0])
        return network_of(settings, classes=classes, channels=channels), ""
    except TenfoldError as error:
        return None, str(error)
    except (KeyError, TypeError):
        return None, f"{directory.model} does not name the classes"
