"""Checkpoints into networks: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tenfold.core.errors import NonFiniteError, WeightsError
from tenfold.zoo.build import architectures, build
from tenfold.zoo.checkpoint import read_checkpoint

__all__ = ["load_weights"]

_PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, and common trainers
_COUNTER = "num_batches_tracked"  # of BN; many public files leave it out, and inference does not need it
_SHOWN = 3


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a checkpoint into `model`, in place; on any error `model` is as it was.

    Prefixes that wrappers put before every name (`module.`, `_orig_mod.`, `model.`) are dropped. Dtype and
    device stay the model's. Counters `num_batches_tracked` of BN may be missing.

    Args:
        model: any network.
        path: a safetensors file, or a torch checkpoint with the tensors on top or under `state_dict`,
            `model_state_dict`, `model` or `net`. Nothing in it is run.

    Raises:
        WeightsError: the file cannot be read (see the message), or tensors are missing, unexpected or of
            another shape.
        NonFiniteError: a tensor holds NaN or inf, or would in the dtype of `model`.

    Example:
        >>> import tempfile
        >>> from safetensors.torch import save_file
        >>> model, other = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(model.state_dict(), f"{folder}/w.safetensors")
        ...     load_weights(other, f"{folder}/w.safetensors")
        >>> torch.equal(model.weight, other.weight)
        True
    """
    path = Path(path)
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    given = _without_prefix(read_checkpoint(path), own)
    _check_fit(path, given, own)
    tensors = {name: value.detach().to(own[name].dtype) for name, value in given.items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise NonFiniteError(f"{path}: {name} holds NaN or inf; take an earlier checkpoint")
    model.load_state_dict(tensors, strict=False)  # strict was _check_fit, which also forgives the counters


def _without_prefix(tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names they had before a wrapper put a prefix on all of them."""
    for prefix in _PREFIXES:
        every = all(name.startswith(prefix) for name in tensors)
        if every and not any(name.startswith(prefix) for name in own):
            bare = {name.removeprefix(prefix): value for name, value in tensors.items()}
            return _without_prefix(bare, own)
    return tensors


def _check_fit(path: Path, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint of another network, and say how it differs."""
    missing = [name for name in own if name not in given and not name.endswith(_COUNTER)]
    unexpected = [name for name in given if name not in own]
    shapes = [
        f"{name} (file {tuple(value.shape)}, network {tuple(own[name].shape)})"
        for name, value in given.items()
        if name in own and value.shape != own[name].shape
    ]
    kinds = [
        f"{name} (file {value.dtype}, network {own[name].dtype})"
        for name, value in given.items()
        if name in own and value.is_floating_point() != own[name].is_floating_point()
    ]
    groups = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": shapes,
        "of another kind": kinds,
    }
    parts = [f"{len(names)} {word}: {_few(names)}" for word, names in groups.items() if names]
    if parts:
        raise WeightsError(f"{path} does not fit the network; {'; '.join(parts)}; {_hint(given, own)}")


def _few(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _hint(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What network the tensors could be of."""
    names = _comparable(given)
    if names == _comparable(own):
        return "the names agree: build the network with the classes and channels of the checkpoint"
    with torch.device("meta"):  # names without numbers
        twins = [
            arch for arch in architectures() if names == _comparable(build(arch, classes=2).state_dict())
        ]
    if twins:
        return f"the file's names are those of {twins[0]!r}: build that architecture"
    layers = [sum(tensor.ndim in (2, 4) for tensor in tensors.values()) for tensors in (given, own)]
    return f"the file has {layers[0]} layers with weights, the network {layers[1]}: build the one it is of"


def _comparable(tensors: Mapping[str, Tensor]) -> set[str]:
    """The names that a checkpoint of a network always has."""
    return {name for name in tensors if not name.endswith(_COUNTER)}
