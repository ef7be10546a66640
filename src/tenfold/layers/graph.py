"""A network as JSON, and a network from it: neither training code nor pickles are needed to load one.

The description holds what `torch.fx` records of the forward pass, and of each `torch.nn` layer the class
name and constructor arguments. The numbers are not in it: they are the network's own state dict.
"""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor, nn

from tenfold.core.errors import RunError, TenfoldError, UnsupportedLayerError
from tenfold.layers.codec import encode
from tenfold.layers.describe import has_hooks
from tenfold.layers.leaf import describe_leaf, is_leaf
from tenfold.layers.network import FORMAT, assemble
from tenfold.layers.trace import trace

__all__ = ["describe_graph", "rebuild"]

_MAX_CONSTANT = 65_536
"""Most numbers of a tensor that is not in the state dict; larger ones do not belong into JSON."""

_MALFORMED = (
    AttributeError,
    AssertionError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a description that is not tenfold's own makes Python or torch raise."""


def describe_graph(model: nn.Module) -> dict[str, Any]:
    """Everything but the numbers that is needed to build the network again, fit for JSON.

    Names of modules and parameters are kept, so the network's state dict loads strictly into what `rebuild`
    makes; modules and parameters that are shared stay shared. Arguments of `forward` that have a default are
    fixed to it. A function told `training=self.training` (as in `F.dropout`) follows the mode of the rebuilt
    network as a whole; any other code that depends on the mode outside the layers of `torch.nn` is refused.

    Args:
        model: a network whose forward `torch.fx` can trace: no `if` or loop that depends on a tensor, no
            functions but torch's. It is not changed.

    Returns:
        The description, for `json.dumps` and `rebuild`.

    Raises:
        UnsupportedLayerError: the network cannot be described; the message says what stands in the way.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
        >>> twin = rebuild(json.loads(json.dumps(describe_graph(net))))
        >>> twin.load_state_dict(net.state_dict())
        <All keys matched successfully>
        >>> x = torch.randn(2, 3, 8, 8)
        >>> torch.equal(net(x), twin(x))
        True
    """
    try:
        description = _describe(model)
        twin = rebuild(json.loads(json.dumps(description)), device="meta")
        if twin.state_dict().keys() != model.state_dict().keys():
            raise UnsupportedLayerError("part of its state dict would be lost")
    except TenfoldError as error:
        raise UnsupportedLayerError(
            f"{type(model).__name__} cannot be saved without its code: {error}. "
            "It can still be loaded by passing the original module"
        ) from error
    return description


def rebuild(description: dict[str, Any], *, device: str = "cpu") -> nn.Module:
    """The network that `describe_graph` described, with uninitialised weights, in evaluation mode.

    Safe on descriptions of unknown origin: nothing is imported, unpickled or evaluated; only layers of
    `torch.nn` and functions and tensor methods of torch that are on a closed list can be asked for.

    Args:
        description: what `describe_graph` returned, perhaps by way of JSON.
        device: where the tensors go; "meta" allocates none.

    Returns:
        An `fx.GraphModule`: a plain module that can be trained, traced and exported. Load a state dict
        into it before use.

    Raises:
        RunError: the description is not what tenfold writes, asks for something that is not on the list,
            or does not fit into memory.
    """
    try:
        return assemble(description, device)
    except _MALFORMED as error:
        raise RunError(f"the saved network cannot be rebuilt ({error!r}): save it again") from error


def _describe(model: nn.Module) -> dict[str, Any]:
    """The description, not yet proven."""
    hooked = [name or type(model).__name__ for name, module in model.named_modules() if has_hooks(module)]
    if hooked:
        raise UnsupportedLayerError(f"forward hooks hang on {', '.join(hooked)}: remove them first")
    traced = trace(model)
    modules = _modules(model, traced.modules)
    state = _state(model)
    return {
        "format": FORMAT,
        "nodes": traced.nodes,
        "modules": modules,
        "tensors": {n: _entry(t) for n, t in state.items() if n.rpartition(".")[0] not in modules},
        "constants": {n: _constant(n, t) for n, t in traced.tensors.items() if n not in state},
        "ties": _ties(model, state),
        "frozen": [name for name, parameter in model.named_parameters() if not parameter.requires_grad],
    }


def _modules(model: nn.Module, called: frozenset[str]) -> dict[str, dict[str, Any]]:
    """The layers of torch.nn, described; of those never called only what can be."""
    entries: dict[str, dict[str, Any]] = {}
    first: dict[nn.Module, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if not name or not (is_leaf(module) or name in called):
            continue
        if module in first:
            entries[name] = {"same_as": first[module]}
            continue
        try:
            entries[name] = describe_leaf(module)
            first[module] = name
        except UnsupportedLayerError as error:
            # Only its numbers are needed where no node calls it.
            if name in called:
                raise UnsupportedLayerError(f"{name}: {error}") from None
    return entries


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer, under each of its names."""
    state: dict[str, Tensor] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and key not in module._non_persistent_buffers_set:
                state[f"{name}.{key}".lstrip(".")] = tensor
    return state


def _entry(tensor: Tensor) -> dict[str, Any]:
    """What is needed to make room for a tensor."""
    kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
    return {"kind": kind, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}


def _constant(name: str, tensor: Tensor) -> dict[str, Any]:
    """A tensor that the state dict does not hold, with its numbers."""
    if tensor.numel() > _MAX_CONSTANT:
        raise UnsupportedLayerError(
            f"forward reads {name}, {tensor.numel():,} numbers outside the state dict: make it a buffer"
        )
    return {**_entry(tensor), "values": encode(tensor.detach().flatten().tolist())}


def _ties(model: nn.Module, state: dict[str, Tensor]) -> dict[str, str]:
    """The names of a tensor beyond its first, where different modules own it."""
    first: dict[int, str] = {}
    ties: dict[str, str] = {}
    for name, tensor in state.items():
        known = first.setdefault(id(tensor), name)
        if known != name and _owner_of(model, known) is not _owner_of(model, name):
            ties[name] = known
    return ties


def _owner_of(model: nn.Module, name: str) -> nn.Module:
    """The module a tensor belongs to."""
    return model.get_submodule(name.rpartition(".")[0])
