"""The compressed network on the disk: weights in model.safetensors, how to rebuild it in model.json."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tenfold.core.atomic import write_bytes, write_text
from tenfold.core.errors import RunError, TenfoldError, UnsupportedLayerError
from tenfold.layers.graph import describe_graph, rebuild
from tenfold.layers.surgery import replace_
from tenfold.runs.directory import RunDirectory

__all__ = ["load", "save_model"]

_FORMAT = 1
# what a description that was edited by hand, or a network given that is another, can raise
_EDITED = (TenfoldError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError)


def save_model(model: nn.Module, directory: str | Path, *, metadata: Mapping[str, object]) -> None:
    """Write model.safetensors (all parameters and buffers) and model.json (all that rebuilds the network).

    Where torch.fx cannot trace the network, model.json says so and why; `load` then needs the original
    architecture and puts the chains into it.

    Args:
        model: on any device, in any mode. Tensors that it shares are stored once.
        directory: an existing folder.
        metadata: JSON values that are kept beside the network, such as the class names.

    Raises:
        RunError: a file cannot be written, or `metadata` is not JSON.
    """
    run = RunDirectory(directory)
    stored, aliases = _distinct(_tensors(model))
    graph, untraceable = _describe(model)
    content = {
        "format": _FORMAT,
        "metadata": dict(metadata),
        "graph": graph,
        "untraceable": untraceable,
        "chains": {name: describe_graph(chain) for name, chain in _chains(model)},
        "aliases": aliases,
    }
    try:
        text = json.dumps(content, indent=1) + "\n"
    except (TypeError, ValueError) as error:
        raise RunError(f"cannot write {run.model}: metadata should be JSON values, met {error}") from error
    data = {name: _copy(tensor) for name, tensor in stored.items()}
    write_bytes(run.weights, safetensors.torch.save(data))
    write_text(run.model, text)


def load(directory: str | Path, *, model: nn.Module | None = None) -> nn.Module:
    """The compressed network of a run directory, in eval mode on the CPU, with the bits that were saved.

    Nothing is unpickled and no code of the original network is needed, unless torch.fx could not trace it.

    Args:
        directory: of a finished run; holds model.json and model.safetensors.
        model: the original architecture, with any weights. If given, the chains are put into it in place
            and it is returned; needed only for a network that could not be traced.

    Raises:
        RunError: a file is missing, broken or edited beyond repair; the two files, or they and `model`, do
            not fit; or `model` is needed and was not given.
    """
    run = RunDirectory(directory)
    content = _read_description(run.model)
    weights = _read_weights(run.weights, content["aliases"])
    rebuilt = _rebuild(run, content) if model is None else _put_chains(run, content, model)
    _fill(run, rebuilt, weights, exact=model is not None)
    return rebuilt.eval()


def _describe(model: nn.Module) -> tuple[dict[str, Any] | None, str | None]:
    """What rebuilds the network with every tensor it needs, or the reason why nothing does."""
    try:
        graph = describe_graph(model)
    except UnsupportedLayerError as error:
        return None, str(error)
    outline = rebuild(json.loads(json.dumps(graph)), device="meta")
    problem = _mismatch(dict(_tensors(outline)), dict(_tensors(model)), exact=False)
    return (None, f"rebuilt it differs: {problem}") if problem else (graph, None)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers under all their names, also the buffers that a state dict leaves out."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _distinct(tensors: Iterable[tuple[str, Tensor]]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor under its first name, and other name -> first name."""
    first: dict[int, str] = {}
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors:
        if id(tensor) in first:
            aliases[name] = first[id(tensor)]
        else:
            first[id(tensor)] = name
            stored[name] = tensor
    return stored, aliases


def _copy(tensor: Tensor) -> Tensor:
    """The numbers of a tensor in memory of their own, which is how safetensors wants them."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _chains(model: nn.Module) -> Iterator[tuple[str, nn.Sequential]]:
    """Every sequence of nothing but convolutions or linear layers: what a factorised layer became.

    A shared one comes once: `replace_` puts it into all its places. One that the architecture itself has
    is among them, which does no harm.
    """
    for name, module in model.named_modules():
        plain = all(type(child) in (nn.Conv2d, nn.Linear) for child in module.children())
        if name and type(module) is nn.Sequential and len(module) and plain:
            yield name, module


def _read_description(path: Path) -> dict[str, Any]:
    """The content of model.json, its outline checked."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    except ValueError as error:  # no JSON, or no text at all
        raise _broken(path, str(error)) from error
    match content:
        case {"format": 1, "graph": dict() | None, "chains": dict(), "aliases": dict() as aliases}:
            if all(isinstance(name, str) for name in aliases.values()):
                return dict(content)
        case {"format": int(found)} if found != _FORMAT:
            raise _broken(path, f"it has format {found}, this tenfold reads format {_FORMAT}")
    raise _broken(path, "it lacks, or has spoilt, one of format, graph, chains, aliases")


def _read_weights(path: Path, aliases: dict[str, str]) -> dict[str, Tensor]:
    """The tensors by all their names; shared ones are one object."""
    try:
        weights = safetensors.torch.load(path.read_bytes())
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    except (SafetensorError, ValueError, LookupError) as error:
        raise _broken(path, f"it holds no safetensors ({error})") from error
    missing = sorted(str(name) for name in aliases.values() if name not in weights)
    if missing:
        raise _broken(path, f"model.json refers to {missing[0]!r}, which it does not hold")
    return weights | {name: weights[first] for name, first in aliases.items()}


def _broken(path: Path, cause: str) -> RunError:
    """One of the two files cannot be used."""
    return RunError(f"cannot load the network from {path}: {cause}; restore the file or run the job again")


def _rebuild(run: RunDirectory, content: dict[str, Any]) -> nn.Module:
    """The network from model.json alone."""
    if content["graph"] is None:
        raise RunError(
            f"cannot rebuild the network of {run.path} without its code: it could not be traced "
            f"({content.get('untraceable')}); pass load(..., model=original_architecture)"
        )
    try:
        return rebuild(content["graph"])
    except _EDITED as error:
        raise _broken(run.model, f"its graph makes no network ({type(error).__name__}: {error})") from error


def _put_chains(run: RunDirectory, content: dict[str, Any], model: nn.Module) -> nn.Module:
    """The original architecture with its layers replaced by the recorded chains."""
    built: dict[str, nn.Sequential] = {}
    for name, description in content["chains"].items():
        try:
            built[name] = nn.Sequential(OrderedDict(rebuild(description).named_children()))
        except _EDITED as error:
            raise _broken(run.model, f"its chain {name!r} makes no network ({error})") from error
    for name, chain in built.items():
        try:
            replace_(model, name, chain)
        except _EDITED as error:
            raise RunError(
                f"cannot put the chains of {run.path} into the model given: layer {name!r}: {error}; "
                "pass the architecture that was compressed"
            ) from error
    return model


def _fill(run: RunDirectory, model: nn.Module, weights: dict[str, Tensor], *, exact: bool) -> None:
    """Give the network the stored tensors, once they are known to fit; shared ones stay shared."""
    needed = dict(_tensors(model))
    if problem := _mismatch(needed, weights, exact=exact):
        raise RunError(
            f"cannot load the network from {run.path}: {problem}; restore {run.weights.name} and "
            f"{run.model.name} of one run, or pass the architecture that was compressed"
        )
    parameters: dict[int, nn.Parameter] = {}
    for name, old in needed.items():
        owner, _, leaf = name.rpartition(".")
        new = weights[name]
        if isinstance(old, nn.Parameter):
            new = parameters.setdefault(id(new), nn.Parameter(new, requires_grad=old.requires_grad))
        setattr(model.get_submodule(owner), leaf, new)


def _mismatch(needed: dict[str, Tensor], weights: dict[str, Tensor], *, exact: bool) -> str:
    """The first way in which the tensors do not fit the network, or nothing.

    A traced network lacks what its forward pass never uses, so there (not `exact`) more may be stored.
    """
    for name, tensor in needed.items():
        if name not in weights:
            return f"no tensor {name!r} is stored"
        if (met := weights[name]).shape != tensor.shape:
            return (
                f"tensor {name!r} has the shape {tuple(met.shape)}, the network needs {tuple(tensor.shape)}"
            )
        if met.is_floating_point() != tensor.is_floating_point():
            return f"tensor {name!r} has the type {met.dtype}, the network needs {tensor.dtype}"
    extra = sorted(set(weights) - set(needed))
    return f"the network has no tensor {extra[0]!r}, which is stored" if exact and extra else ""
