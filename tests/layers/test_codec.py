from __future__ import annotations

import json
import math
import operator
import os

import pytest
import torch
import torch.nn.functional as F
from torch import fx

from tenfold.core.errors import RunError, UnsupportedLayerError
from tenfold.layers.codec import check_attribute, check_method, decode, encode, function, function_name

NODE = fx.Graph().placeholder("x")
VALUES = [
    None,
    True,
    0,
    1,
    -3,
    2**70,
    0.1,
    1.0,
    float("inf"),
    -float("inf"),
    "text",
    [1, [2.0, "a"]],
    (1, (2,), []),
    {"a": 1, 2: (3,)},
    slice(1, None, 2),
    slice(None),
    (..., None, slice(0, 3)),
    torch.float16,
    torch.int64,
    torch.channels_last,
    torch.strided,
    torch.device("cpu"),
    torch.device("cuda:1"),
    NODE,
    (NODE, {"k": [NODE]}),
    slice(NODE, None),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_with_their_types(value):
    text = json.dumps(encode(value), allow_nan=False)
    again = decode(json.loads(text), {"x": NODE})
    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value), "1 is not 1.0 is not True"


def test_nan():
    assert math.isnan(decode(json.loads(json.dumps(encode(float("nan")), allow_nan=False)), {}))


@pytest.mark.parametrize(
    "value", [1j, {1, 2}, torch.ones(2), os.system, object(), b"x"], ids=lambda value: type(value).__name__
)
def test_what_has_no_form_is_refused(value):
    with pytest.raises(UnsupportedLayerError, match="cannot be saved"):
        encode((value,))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"node": "y"},
        {"unknown": 1},
        {"tuple": [], "list": []},
        {"dtype": "load"},
        {"dtype": "nn"},
        {"memory_format": "float32"},
        {"dtype": "__loader__"},
    ],
    ids=repr,
)
def test_what_was_not_encoded_is_not_decoded(value):
    with pytest.raises(RunError):
        decode([value], {"x": NODE})


@pytest.mark.parametrize(
    "target",
    [
        torch.cat,
        torch.flatten,
        torch.einsum,
        F.relu,
        F.gelu,
        F.interpolate,
        F.pad,
        F.max_pool2d,
        F.hardswish,
        F.dropout,
        F.scaled_dot_product_attention,
        F.batch_norm,
        operator.add,
        operator.getitem,
        operator.iadd,
        math.ceil,
        torch._assert,
        getattr,
        torch.linalg.vector_norm,
    ],
)
def test_functions_come_back(target):
    assert function(function_name(target)) is target


@pytest.mark.parametrize(
    "target",
    [
        os.system,
        torch.load,
        torch.save,
        torch.hub.load,
        eval,
        exec,
        __import__,
        open,
        operator.attrgetter,
        operator.methodcaller,
        operator.setitem,
        torch.compile,
        torch.from_file,
        torch.jit.load,
        setattr,
        print,
    ],
)
def test_functions_that_are_not_torchs_arithmetic_are_refused(target):
    with pytest.raises(UnsupportedLayerError, match="none of torch's own"):
        function_name(target)
    name = f"{target.__module__}.{target.__name__}"
    for asked in (name, target.__name__, f"torch.{target.__name__}"):
        with pytest.raises(RunError, match="refused"):
            function(asked)


@pytest.mark.parametrize(
    "name",
    [
        "torch.load",
        "torch.hub.load",
        "os.system",
        "torch.ops",
        "torch.autocast",
        "torch.nn.functional.torch",
        "torch.nn.functional.handle_torch_function",
        "builtins.eval",
        "getattr.__call__",
        "",
    ],
)
def test_names_outside_the_table_are_refused(name):
    with pytest.raises(RunError, match="refused"):
        function(name)


@pytest.mark.parametrize(
    "name", ["view", "mean", "size", "permute", "contiguous", "to", "relu_", "new_zeros"]
)
def test_methods(name):
    check_method(name)


@pytest.mark.parametrize(
    "name",
    [
        "__class__",
        "__reduce_ex__",
        "__setstate__",
        "apply_",
        "map_",
        "register_hook",
        "numpy",
        "data_ptr",
        "set_",
        "untyped_storage",
        "format",
        "system",
        "_values",
        "resize_",
    ],
)
def test_methods_that_are_refused(name):
    with pytest.raises(RunError, match="refused"):
        check_method(name)


def test_attributes():
    check_attribute((NODE, "shape"))
    for args in [
        (NODE, "__class__"),
        (NODE, "grad_fn"),
        (NODE, "data"),
        ("text", "shape"),
        (NODE, "shape", 1),
        (NODE,),
        None,
        (NODE, NODE),
    ]:
        with pytest.raises(RunError, match="refused"):
            check_attribute(args)
