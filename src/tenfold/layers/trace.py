"""The forward pass of a network as a list of JSON nodes, right in both modes."""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from tenfold.core.errors import UnsupportedLayerError
from tenfold.layers.codec import encode, function_name

__all__ = ["IS_TRAINING", "Trace", "trace"]

IS_TRAINING = "is_training"
"""Name of the node that stands for the network's `training` flag."""

_TRACE_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError)
"""What forward code raises when it meets a stand-in where it expects a tensor."""

_SIZES = ("dim", "element_size", "item", "ndimension", "nelement", "numel", "size", "stride")
"""Tensor methods that answer with numbers."""


@dataclass(frozen=True)
class Trace:
    """What was recorded.

    Attributes:
        nodes: one mapping a node: name, op, target, args, kwargs, as JSON.
        modules: the layers that are called.
        tensors: the parameters, buffers and constants that are read, by qualified name.
    """

    nodes: list[dict[str, Any]]
    modules: frozenset[str]
    tensors: dict[str, Tensor]


def trace(model: nn.Module) -> Trace:
    """Record the forward pass in training and in evaluation mode and make one of the two.

    Where the only difference is an argument that is True in training and False otherwise, it becomes
    a reference to the node `IS_TRAINING`.

    Raises:
        UnsupportedLayerError: torch.fx cannot record the forward pass, it calls something that has no
            name in `layers.codec`, or it differs between the modes in another way.
    """
    train, evaluation = (_trace_once(model, training=flag) for flag in (True, False))
    nodes = _merge_nodes(train.nodes, evaluation.nodes)
    for name, tensor in train.tensors.items():
        other = evaluation.tensors[name]
        if tensor.dtype != other.dtype or not _same(tensor, other):
            raise UnsupportedLayerError(
                f"the constant {name} changes from one call to the next (random numbers?)"
            )
    return Trace(nodes, evaluation.modules, evaluation.tensors)


class _Proxy(fx.Proxy):
    """A stand-in that records `x += y` as what it is; torch.fx alone would make it `x = x + y`."""


def _in_place(name: str) -> Callable[[fx.Proxy, object], fx.Proxy]:
    """The in-place operator of that name, recorded."""

    def operate(self: fx.Proxy, other: object) -> fx.Proxy:
        # Numbers are never changed in place, and generated code would rebind a name others still use.
        target = getattr(operator, name if _is_number(self.node) else f"i{name}")
        return self.tracer.create_proxy("call_function", target, (self, other), {})

    return operate


for _name in ("add", "floordiv", "mod", "mul", "pow", "sub", "truediv"):
    setattr(_Proxy, f"__i{_name}__", _in_place(_name))


class _Tracer(fx.Tracer):
    """Records with `_Proxy`, and leaves arguments that have a default at their default."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The stand-in for the result of a node."""
        return _Proxy(node, self)

    def create_args_for_root(self, root_fn: Any, *_: Any) -> tuple[Any, list[Any]]:
        """One placeholder for each argument without a default."""
        args: list[Any] = [self.root]
        for name, parameter in list(inspect.signature(root_fn).parameters.items())[1:]:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if parameter.default is parameter.empty:
                if parameter.kind is parameter.KEYWORD_ONLY:
                    raise UnsupportedLayerError(
                        f"forward has the keyword-only argument {name!r} without a default"
                    )
                args.append(self.create_proxy("placeholder", name, (), {}))
        if len(args) == 1:
            raise UnsupportedLayerError("forward has no argument without a default, so no input")
        return root_fn, args


def _is_number(node: fx.Node) -> bool:
    """Whether a node's result is made of sizes only."""
    if node.op == "call_method":
        return node.target in _SIZES
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "itemsize")
    plain = getattr(node.target, "__module__", "") in ("_operator", "math")
    return plain and all(_is_number(given) for given in node.all_input_nodes)


def _trace_once(model: nn.Module, *, training: bool) -> Trace:
    """Record the forward pass in one mode, on a copy that shares the parameters."""
    try:
        # A forward may leave stand-ins in attributes or count calls in buffers: not in the user's network.
        twin = copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
        graph = _Tracer().trace(twin.train(training))
    except UnsupportedLayerError:
        raise
    except _TRACE_ERRORS as error:
        raise UnsupportedLayerError(f"torch.fx cannot trace its forward ({error})") from error
    nodes = [_encode_node(node) for node in graph.nodes]
    modules = frozenset(str(node.target) for node in graph.nodes if node.op == "call_module")
    names = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
    return Trace(nodes, modules, {name: _tensor(twin, name) for name in names})


def _encode_node(node: fx.Node) -> dict[str, Any]:
    """One node as JSON."""
    target = node.target if isinstance(node.target, str) else function_name(node.target)
    args, kwargs = [encode(item) for item in node.args], {key: encode(v) for key, v in node.kwargs.items()}
    return {"name": node.name, "op": node.op, "target": target, "args": args, "kwargs": kwargs}


def _tensor(model: nn.Module, name: str) -> Tensor:
    """What a graph reads from the network under that name."""
    owner, _, leaf = name.rpartition(".")
    value = getattr(model.get_submodule(owner), leaf)
    if isinstance(value, Tensor):
        return value
    raise UnsupportedLayerError(f"forward reads {name}, a {type(value).__name__} and no tensor")


def _same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN included."""
    return torch.equal(first.nan_to_num(), second.nan_to_num())


def _merge_nodes(train: list[dict[str, Any]], evaluation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One list of nodes for both modes."""
    frames = [[(n["name"], n["op"], n["target"]) for n in nodes] for nodes in (train, evaluation)]
    if frames[0] != frames[1]:
        raise UnsupportedLayerError(
            "forward runs other code in training mode than in evaluation mode, outside torch.nn's layers"
        )
    nodes = [_merge(first, second) for first, second in zip(train, evaluation, strict=True)]
    if nodes == evaluation:
        return nodes
    if any(node["name"] == IS_TRAINING for node in nodes):
        raise UnsupportedLayerError(f"an argument of forward is named {IS_TRAINING!r}: rename it")
    inputs = sum(node["op"] == "placeholder" for node in nodes)
    flag = {"name": IS_TRAINING, "op": "get_attr", "target": "training", "args": [], "kwargs": {}}
    return [*nodes[:inputs], flag, *nodes[inputs:]]


def _merge(train: Any, evaluation: Any) -> Any:
    """One JSON value for both modes."""
    match train, evaluation:
        case list(), list() if len(train) == len(evaluation):
            return [_merge(*pair) for pair in zip(train, evaluation, strict=True)]
        case dict(), dict() if train.keys() == evaluation.keys():
            return {key: _merge(value, evaluation[key]) for key, value in train.items()}
    # Only now: whole lists compare equal also where one holds 1 and the other 1.0 or True.
    if type(train) is type(evaluation) and train == evaluation:
        return evaluation
    if train is True and evaluation is False:
        return {"node": IS_TRAINING}
    raise UnsupportedLayerError(
        f"forward uses {train!r} in training and {evaluation!r} in evaluation mode, outside torch.nn's layers"
    )
