"""From a JSON description to a module, refusing whatever tenfold itself would not have written."""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
from torch import Tensor, fx, nn

from tenfold.core.errors import RunError
from tenfold.layers.codec import check_attribute, check_method, decode, function
from tenfold.layers.leaf import build_leaf
from tenfold.layers.trace import IS_TRAINING

__all__ = ["FORMAT", "assemble"]

FORMAT = "tenfold-graph-1"
"""What a description says of itself."""


class _Network(fx.GraphModule):
    """An `fx.GraphModule` that keeps all of its root: what no node refers to, aliases, buffers, order."""

    def __init__(self, root: nn.Module, graph: fx.Graph) -> None:
        """Take over the tree of modules and the graph."""
        super().__init__(root, graph, "Network")
        self._adopt(root._modules, root._parameters, root._buffers, root._non_persistent_buffers_set)

    def __deepcopy__(self, memo: dict[int, Any]) -> fx.GraphModule:
        """A copy with a tree of its own."""
        twin = super().__deepcopy__(memo)
        state = (self._modules, self._parameters, self._buffers, self._non_persistent_buffers_set)
        _Network._adopt(twin, *copy.deepcopy(state, memo))  # type: ignore[arg-type]
        return twin

    def _adopt(self, modules: Any, parameters: Any, buffers: Any, constants: set[str]) -> None:
        """Replace what the base class copied by the real thing."""
        self._modules, self._parameters, self._buffers = modules, parameters, buffers
        self._non_persistent_buffers_set = constants


def assemble(description: dict[str, Any], device: str) -> nn.Module:
    """Build the network that `layers.graph.describe_graph` described.

    Raises:
        RunError: the description asks for what is not allowed. Errors of a malformed description
            (KeyError, TypeError, ...) pass through.
    """
    if description.get("format") != FORMAT:
        raise RunError(
            f"the saved network has format {description.get('format')!r}; this tenfold reads {FORMAT}"
        )
    root = _build_tree(description, device)
    network = _Network(root, _build_graph(description, root))
    return network.eval()


def _build_tree(description: dict[str, Any], device: str) -> nn.Module:
    """Modules, parameters and buffers, in their places."""
    root = nn.Module()
    for name, entry in description["modules"].items():
        known = root.get_submodule(entry["same_as"]) if "same_as" in entry else build_leaf(entry)
        _owner(root, name).add_module(_last(name), known)
    for name, entry in description["tensors"].items():
        _register(_owner(root, name), _last(name), entry)
    root.to_empty(device=torch.device(device))
    for name, entry in description["constants"].items():
        values = decode(entry["values"], {})
        constant = torch.tensor(values, dtype=_dtype(entry), device=device).reshape(entry["shape"])
        _owner(root, name).register_buffer(_last(name), constant, persistent=False)
    for alias, name in description["ties"].items():
        _owned(root, alias)[_last(alias)] = _owned(root, name)[_last(name)]
    for name in description["frozen"]:
        _owned(root, name)[_last(name)].requires_grad_(False)
    return root


def _owner(root: nn.Module, name: str) -> nn.Module:
    """The module that holds what has this qualified name; made where it is missing."""
    *path, last = name.split(".")
    for part in (*path, last):
        if not re.fullmatch(r"[\w-]+", part):
            raise RunError(f"the saved network has something named {name!r}: refused")
    if not path and hasattr(fx.GraphModule, last):
        raise RunError(f"{name!r} is a name that torch.fx needs for itself")
    module = root
    for part in path:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    return module


def _last(name: str) -> str:
    """The last part of a qualified name."""
    return name.rpartition(".")[2]


def _owned(root: nn.Module, name: str) -> dict[str, Any]:
    """The parameters or buffers of the module that owns the tensor of this name."""
    module, last = root.get_submodule(name.rpartition(".")[0]), _last(name)
    for tensors in (module._parameters, module._buffers):
        if isinstance(tensors.get(last), Tensor):
            return tensors
    raise RunError(f"the saved network has no tensor {name!r}")


def _dtype(entry: dict[str, Any]) -> torch.dtype:
    """The dtype of a tensor's entry."""
    dtype: torch.dtype = decode({"dtype": entry["dtype"]}, {})
    return dtype


def _register(owner: nn.Module, name: str, entry: dict[str, Any]) -> None:
    """One tensor that no layer of torch.nn owns, still without memory."""
    tensor = torch.empty(entry["shape"], dtype=_dtype(entry), device="meta")
    if entry["kind"] == "parameter":
        owner.register_parameter(name, nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))
    else:
        owner.register_buffer(name, tensor)


def _build_graph(description: dict[str, Any], root: nn.Module) -> fx.Graph:
    """The nodes, each one checked: torch.fx makes Python source of them."""
    graph, nodes = fx.Graph(), dict[str, fx.Node]()
    for row in description["nodes"]:
        args = tuple(decode(item, nodes) for item in row["args"])
        kwargs = {name: decode(item, nodes) for name, item in row["kwargs"].items()}
        for name in (row["name"], *kwargs):
            _check_identifier(name)
        target = _target(row, args, description, root)
        nodes[row["name"]] = graph.create_node(row["op"], target, args, kwargs, name=row["name"])
    if [node.op for node in nodes.values()].count("output") != 1 or row["op"] != "output":
        raise RunError("the saved network does not end in one output")
    return graph


def _target(row: dict[str, Any], args: Any, description: dict[str, Any], root: nn.Module) -> Any:
    """What a node calls or reads, if that is allowed."""
    op, target = row["op"], row["target"]
    if op == "call_function":
        if target == "getattr":
            check_attribute(args if not row["kwargs"] else None)
        return function(target)
    if op == "call_method" and args and isinstance(args[0], fx.Node):
        check_method(target)
    elif op == "call_module" and target in description["modules"]:
        pass
    elif op == "get_attr" and (row["name"], target) != (IS_TRAINING, "training"):
        _owned(root, target)
    elif op == "placeholder" and not args:
        _check_identifier(target)
    elif op not in ("get_attr", "output"):
        raise RunError(f"the saved network has a node {op!r} with target {target!r}: refused")
    return target


def _check_identifier(name: object) -> None:
    """Refuse a name that would be something else than a name, or hide the network, in Python source."""
    if not (isinstance(name, str) and name.isidentifier()) or name == "self":
        raise RunError(f"the saved network uses {name!r} as a name: refused")
