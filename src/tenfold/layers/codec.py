"""The values, functions and methods of a saved graph: as JSON and back, nothing but what is on the lists.

A description comes from a file that someone else may have written, so reading it must not be able to
reach anything but arithmetic on tensors. Hence names are looked up in closed tables, never imported.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the name everyone knows)
from torch import Tensor, fx
from torch.overrides import get_overridable_functions

from tenfold.core.errors import RunError, UnsupportedLayerError

__all__ = ["check_attribute", "check_method", "decode", "encode", "function", "function_name"]

_OPERATORS = """
    abs add and_ eq floordiv ge getitem gt iadd iand ifloordiv ilshift imatmul imod imul invert ior ipow
    irshift isub itruediv ixor le lshift lt matmul mod mul ne neg or_ pos pow rshift sub truediv xor
"""
_MATH = "ceil cos exp fabs floor log log10 log2 pow sin sqrt tan trunc"
_ATTRIBUTES = "H T device dtype imag is_cuda itemsize layout mH mT ndim real shape"
# What torch leaves out of its own table although a graph may hold it.
_MORE_FUNCTIONS = "celu_ elu_ hardsigmoid hardswish hardtanh_ leaky_relu_ relu_ rrelu_ selu_ threshold_"
_MORE_METHODS = "new_empty new_full new_ones new_zeros unflatten"
# Methods that call back, leave the tensor world, or lay hands on memory.
_NO_METHODS = """
    apply_ backward const_data_ptr data_ptr map2_ map_ module_load numpy pin_memory record_stream
    register_hook register_post_accumulate_grad_hook requires_grad_ resize resize_ resize_as resize_as_
    resize_as_sparse_ retain_grad set_ share_memory_ sparse_resize_ sparse_resize_and_clear_ storage
    storage_type tolist untyped_storage
"""
_NO_FUNCTIONS = ("autocast", "fbgemm", "handle_", "has_", "miopen", "boolean_dispatch")


def encode(value: object) -> Any:
    """A node's argument as JSON.

    Numbers, strings, booleans, None and lists stand for themselves; all else is an object with one key.

    Raises:
        UnsupportedLayerError: the value is of a type that has no JSON form here.

    Example:
        >>> encode((slice(None, None, 2), torch.float16, float("inf")))
        {'tuple': [{'slice': [None, None, 2]}, {'dtype': 'float16'}, {'float': 'inf'}]}
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}
        case fx.Node():
            return {"node": value.name}
        case torch.dtype() | torch.memory_format() | torch.layout():
            return {type(value).__name__: str(value).removeprefix("torch.")}
        case torch.device():
            return {"device": str(value)}
    return _encode_container(value)


def decode(value: Any, nodes: Mapping[str, fx.Node]) -> Any:
    """What `encode` was given; `nodes` are those that a reference may name.

    Raises:
        RunError: the value is nothing that `encode` makes.
    """
    if isinstance(value, list):
        return [decode(item, nodes) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "node" and content in nodes:
            return nodes[content]
        if kind == "ellipsis":
            return ...
        if kind in _READERS:
            return _READERS[kind](content, nodes)
    raise RunError(f"the saved network holds an argument {value!r} that tenfold does not write")


def function_name(target: object) -> str:
    """The name of a function in the table.

    Raises:
        UnsupportedLayerError: it is not in the table.

    Example:
        >>> function_name(torch.cat), function_name(operator.add)
        ('torch.cat', 'operator.add')
    """
    for name, known in _functions().items():
        if known is target:
            return name
    module, name = getattr(target, "__module__", "?"), getattr(target, "__name__", repr(target))
    raise UnsupportedLayerError(f"the function {module}.{name} is none of torch's own")


def function(name: str) -> Callable[..., Any]:
    """The function of that name.

    Raises:
        RunError: it is not in the table.
    """
    if name in _functions():
        return _functions()[name]
    raise RunError(f"the saved network asks for the function {name!r}: refused")


def check_method(name: str) -> None:
    """Refuse a method that is not one of a tensor's harmless ones.

    Raises:
        RunError: so it is.
    """
    if name not in _methods():
        raise RunError(f"the saved network asks for the tensor method {name!r}: refused")


def check_attribute(args: Any) -> None:
    """Refuse a `getattr` of anything but what a tensor says about itself.

    Args:
        args: the arguments of `getattr`, decoded.

    Raises:
        RunError: so it is.
    """
    match args:
        case (fx.Node(), str(name)) if name in _ATTRIBUTES.split():
            return
    raise RunError(f"the saved network asks for getattr with {args!r}: refused")


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """Every function that a graph may call."""
    overridable = {id(f) for functions in get_overridable_functions().values() for f in functions}
    table: dict[str, Callable[..., Any]] = {}
    for prefix, namespace in (("torch", torch), ("torch.nn.functional", F), ("torch.linalg", torch.linalg)):
        for name in dir(namespace):
            known = getattr(namespace, name)
            listed = id(known) in overridable and not name.startswith(("_", *_NO_FUNCTIONS))
            if listed or (namespace is F and name in _MORE_FUNCTIONS.split()):
                table[f"{prefix}.{name}"] = known
    table |= {f"operator.{name}": getattr(operator, name) for name in _OPERATORS.split()}
    table |= {f"math.{name}": getattr(math, name) for name in _MATH.split()}
    return {**table, "torch._assert": torch._assert, "getattr": getattr}


@cache
def _methods() -> frozenset[str]:
    """Every tensor method that a graph may call."""
    names = {getattr(f, "__name__", "_") for f in get_overridable_functions()[Tensor]}
    public = frozenset(name for name in names if not name.startswith("_"))
    return (public - {*_NO_METHODS.split()}) | {*_MORE_METHODS.split()}


def _encode_container(value: object) -> Any:
    """What holds other values."""
    match value:
        case list():
            return [encode(item) for item in value]
        case tuple():
            return {"tuple": [encode(item) for item in value]}
        case dict():
            return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
        case slice():
            return {"slice": [encode(value.start), encode(value.stop), encode(value.step)]}
    if value is ...:
        return {"ellipsis": True}
    raise UnsupportedLayerError(f"an argument of type {type(value).__name__} cannot be saved")


def _reader_of(kind: type) -> Callable[[Any, Mapping[str, fx.Node]], Any]:
    """Reads one of torch's named constants."""

    def read(name: Any, _: Mapping[str, fx.Node]) -> Any:
        constant = getattr(torch, name, None)
        if isinstance(constant, kind):
            return constant
        raise RunError(f"the saved network asks for torch.{name}, which is no {kind.__name__}")

    return read


_READERS: dict[str, Callable[[Any, Mapping[str, fx.Node]], Any]] = {
    "float": lambda text, _: float(text),
    "tuple": lambda items, nodes: tuple(decode(item, nodes) for item in items),
    "dict": lambda pairs, nodes: {decode(key, nodes): decode(item, nodes) for key, item in pairs},
    "slice": lambda parts, nodes: slice(*(decode(part, nodes) for part in parts)),
    "device": lambda text, _: torch.device(text),
    "dtype": _reader_of(torch.dtype),
    "memory_format": _reader_of(torch.memory_format),
    "layout": _reader_of(torch.layout),
}
