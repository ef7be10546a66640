"""Checkpoint files of either kind as a mapping from tensor names to tensors."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tenfold.core.errors import WeightsError

__all__ = ["read_checkpoint"]

_NESTS = ("state_dict", "model_state_dict", "model", "net")
_BROKEN = (
    RuntimeError,  # torch's word for a broken archive
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or a torch checkpoint, told apart by their content.

    A torch checkpoint may hold the tensors under `state_dict`, `model_state_dict`, `model` or `net`. It is
    read with ``weights_only=True``: nothing in it is run.

    Args:
        path: the file.

    Returns:
        At least one tensor by name, on the CPU.

    Raises:
        WeightsError: the file is missing, of another kind, cut short, asks for foreign classes, or holds
            no tensors by name.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); give a checkpoint file") from None
    if start[8:] == b"{":  # the header's length in 8 bytes, then its JSON
        return _read_safetensors(path)
    if start.startswith((_ZIP, _PICKLE)):
        return _named_tensors(path, _read_torch(path))
    raise WeightsError(f"{path}: neither a safetensors file nor a torch checkpoint; give one of these")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: no whole safetensors file ({error}); get the file again") from None
    return _named_tensors(path, tensors)


def _read_torch(path: Path) -> object:
    """What `torch.save` wrote, tensors and containers only."""
    try:
        with path.open("rb") as file:  # given a path, torch would go by its suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise WeightsError(f"{path}: no whole torch checkpoint; get the file again") from None
        raise WeightsError(
            f"{path}: asks to load {asked[1]}, and a checkpoint is never allowed to run code; "
            "write the tensors alone: torch.save(model.state_dict(), path)"
        ) from None
    except _BROKEN as error:
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path}: no whole torch checkpoint ({cause}); get the file again") from None


def _named_tensors(path: Path, content: object) -> dict[str, Tensor]:
    """The tensors of `content` or of the nest in it, whatever else stands beside them."""
    if isinstance(content, Mapping):
        mapping: Mapping[Any, Any] = content
        nest = next((name for name in _NESTS if isinstance(mapping.get(name), Mapping)), None)
        if nest is not None:  # first, for the epoch beside it may be a tensor too
            return _named_tensors(path, mapping[nest])
        tensors = {str(name): value for name, value in mapping.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        met = f"it holds {', '.join(map(str, list(mapping)[:5])) or 'nothing'}"
    else:
        met = f"it holds a {type(content).__name__}"
    raise WeightsError(f"{path}: no tensors by name; {met}; write torch.save(model.state_dict(), path)")
