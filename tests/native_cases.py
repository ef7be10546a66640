"""Small ONNX networks, one for each thing that the native package has to get right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
Tensor = NDArray[Any]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def model(nodes: Sequence[onnx.NodeProto], shape: Sequence[int], constants: dict[str, Tensor]) -> bytes:
    """From ``x``, (batch, *shape), to the last node's output."""
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return bytes(made.SerializeToString())


def conv(
    shape: Sequence[int],
    out: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> bytes:
    """One convolution with a bias."""
    weight = drawn(out, shape[0] // groups, *kernel)
    settings = {"strides": stride, "pads": pads, "dilations": dilation, "group": groups}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", **settings)
    return model([node], shape, {"w": weight, "b": drawn(out)})


class Builder:
    """Nodes one after the other, by names of their outputs."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Tensor] = {}

    def conv(self, source: str, name: str, inp: int, out: int, k: int = 1, groups: int = 1) -> Builder:
        weight = drawn(out, inp // groups, k, k, seed=len(self.nodes)) / np.sqrt(inp // groups * k * k)
        self.constants |= {f"{name}.w": weight.astype(np.float32), f"{name}.b": drawn(out, seed=1)}
        inputs = [source, f"{name}.w", f"{name}.b"]
        return self.node("Conv", inputs, name, pads=[k // 2] * 4, group=groups)

    def node(self, operator: str, inputs: Sequence[str], name: str, **settings: Any) -> Builder:
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"node {name}", **settings))
        return self

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> Builder:
        self.constants[name] = np.asarray(value, dtype=dtype)
        return self

    def model(self, *shape: int) -> bytes:
        return model(self.nodes, shape, self.constants)


CONVOLUTIONS = {
    "3x3": conv((5, 9, 7), 11, (3, 3), pads=(1, 1, 1, 1)),
    "1x1": conv((17, 6, 6), 24, (1, 1)),
    "1x1 of one pixel": conv((30, 1, 1), 70, (1, 1)),
    "one channel to one": conv((1, 8, 8), 1, (3, 3), pads=(1, 1, 1, 1)),
    "many channels": conv((70, 5, 13), 130, (3, 3), pads=(1, 1, 1, 1)),
    "tall and narrow": conv((4, 11, 1), 9, (3, 1), pads=(1, 0, 1, 0)),
    "wide kernel": conv((6, 5, 9), 8, (1, 5), pads=(0, 2, 0, 2)),
    "no padding": conv((3, 8, 8), 8, (3, 3)),
    "pads on four sides": conv((3, 7, 8), 8, (3, 4), pads=(2, 0, 1, 3)),
    "strides": conv((6, 9, 11), 16, (3, 3), stride=(2, 3), pads=(1, 1, 1, 1)),
    "dilation": conv((6, 9, 11), 16, (3, 2), dilation=(2, 3), pads=(2, 1, 2, 2)),
    "1x1 with stride": conv((16, 8, 8), 32, (1, 1), stride=(2, 2)),
    "depthwise": conv((22, 9, 9), 22, (3, 3), pads=(1, 1, 1, 1), groups=22),
    "depthwise with stride": conv((13, 9, 8), 13, (3, 3), stride=(2, 2), pads=(1, 0, 1, 1), groups=13),
    "depthwise 5x5, dilated": conv((9, 11, 9), 9, (5, 3), dilation=(2, 1), pads=(4, 1, 4, 1), groups=9),
    "depthwise with three outputs": conv((10, 6, 6), 30, (3, 3), pads=(1, 1, 1, 1), groups=10),
    "groups side by side": conv((50, 6, 7), 75, (3, 3), pads=(1, 1, 1, 1), groups=25),
    "groups of five outputs": conv((18, 6, 7), 45, (3, 3), pads=(1, 1, 1, 1), groups=9),
    "two large groups": conv((20, 6, 7), 32, (3, 3), pads=(1, 1, 1, 1), groups=2),
    "three groups of no whole vector": conv((12, 6, 7), 33, (3, 3), pads=(1, 1, 1, 1), groups=3),
}

LAYOUTS = {
    "block term": Builder()
    .conv("x", "a", 9, 50)
    .conv("a", "b", 50, 75, 3, groups=25)
    .conv("b", "c", 75, 20)
    .node("Relu", ["c"], "y"),
    "block term of large blocks": Builder()
    .conv("x", "a", 9, 24)
    .conv("a", "b", 24, 36, 3, groups=2)
    .conv("b", "y", 36, 20),
    "groups after groups": Builder()
    .conv("x", "a", 9, 36)
    .conv("a", "b", 36, 36, 3, groups=18)
    .conv("b", "c", 36, 36, 3, groups=18)
    .conv("c", "y", 36, 20, groups=4),
    "groups that others read too": Builder()
    .conv("x", "a", 9, 36)
    .conv("a", "b", 36, 36, 3, groups=18)
    .node("Add", ["a", "b"], "y"),
    "groups of the image": Builder().conv("x", "y", 9, 18, 3, groups=3),
    "lanes that an addition and a convolution read": Builder()
    .conv("x", "a", 9, 20, 3)
    .conv("a", "b", 20, 40, 3, groups=10)
    .conv("b", "c", 40, 40)
    .node("Add", ["b", "c"], "y"),
    "a shortcut around a convolution of any layout": Builder()
    .conv("x", "a", 9, 18)
    .conv("a", "b", 18, 18, 3, groups=9)
    .conv("b", "c", 18, 18, 3)
    .node("Add", ["c", "b"], "d")
    .node("Relu", ["d"], "y"),
    "a margin where another value lay": Builder()
    .conv("x", "a", 9, 8)
    .constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    .constant("one", 1.0)
    .node("Pad", ["a", "pads", "one"], "b")  # as many numbers as d with its margin
    .node("MaxPool", ["b"], "c", kernel_shape=[3, 3])
    .conv("c", "d", 8, 8)
    .conv("d", "y", 8, 8, 3),
    "margins of several widths": Builder()
    .conv("x", "a", 9, 12)
    .conv("a", "b", 12, 12, 5)
    .conv("a", "c", 12, 12, 3)
    .node("Add", ["b", "c"], "d")
    .conv("d", "e", 12, 12, 3)
    .conv("e", "y", 12, 12, 3),
}

FUSIONS = {
    "relu, addition, relu": Builder()
    .conv("x", "a", 9, 16, 3)
    .node("Relu", ["a"], "b")
    .conv("b", "c", 16, 16, 3)
    .node("Add", ["b", "c"], "d")
    .node("Relu", ["d"], "y"),
    "two convolutions added": Builder()
    .conv("x", "a", 9, 16, 3)
    .conv("x", "b", 9, 16)
    .node("Add", ["a", "b"], "y"),
    "a convolution added to itself": Builder().conv("x", "a", 9, 16, 3).node("Add", ["a", "a"], "y"),
    "two activations": Builder().conv("x", "a", 9, 16, 3).node("Relu", ["a"], "b").node("Neg", ["b"], "y"),
    "an activation that another step needs without": Builder()
    .conv("x", "a", 9, 16, 3)
    .node("Relu", ["a"], "b")
    .node("Add", ["a", "b"], "y"),
    "option A": Builder()
    .constant("zero", [0], np.int64)
    .constant("end", [2**63 - 1], np.int64)
    .constant("two", [2], np.int64)
    .constant("rows", [2], np.int64)
    .constant("cols", [3], np.int64)
    .constant("pads", [0, 4, 0, 0, 0, 5, 0, 0], np.int64)
    .node("Slice", ["x", "zero", "end", "rows", "two"], "a")
    .node("Slice", ["a", "zero", "end", "cols", "two"], "b")
    .node("Pad", ["b", "pads"], "y"),
    "a part of a margin": Builder()
    .constant("pads", [0, 0, 1, 2, 0, 0, 2, 1], np.int64)
    .constant("fill", 0.5)
    .constant("from", [0, 0], np.int64)
    .constant("to", [4, 5], np.int64)
    .constant("axes", [2, 3], np.int64)
    .node("Pad", ["x", "pads", "fill"], "a")
    .node("Slice", ["a", "from", "to", "axes"], "y"),
    "flattened into a matrix": Builder()
    .constant("w", drawn(9 * 25, 7) / 15)
    .constant("b", drawn(7))
    .node("Flatten", ["x"], "a")
    .node("Gemm", ["a", "w", "b"], "y", alpha=0.5, beta=2.0),
    "flattened for two": Builder()
    .constant("w", drawn(7, 9 * 25) / 15)
    .node("Flatten", ["x"], "a")
    .node("Gemm", ["a", "w"], "b", transB=1)
    .constant("shape", [-1, 9 * 25], np.int64)
    .node("Reshape", ["x", "shape"], "c")
    .node("MatMul", ["c", "v"], "d")
    .constant("v", drawn(9 * 25, 7, seed=3) / 15)
    .node("Add", ["b", "d"], "e")
    .node("Softmax", ["e"], "y"),
}


def _one(operator: str, *constants: Any, **settings: Any) -> Builder:
    """An operator on the image and further inputs."""
    made = Builder()
    for number, value in enumerate(constants):
        made.constant(f"c{number}", value, np.asarray(value).dtype)
    return made.node(operator, ["x", *(f"c{n}" for n in range(len(constants)))], "y", **settings)


F = np.float32
OPERATORS = {
    "max pooling": _one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "max pooling with pads": _one(
        "MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], dilations=[1, 2]
    ),
    "max pooling rounded up": _one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "mean pooling": _one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "mean pooling with zeros": _one(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "mean pooling rounded up": _one("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "global mean": _one("GlobalAveragePool"),
    "global maximum": _one("GlobalMaxPool"),
    "mean over height and width": _one("ReduceMean", np.array([2, -1]), keepdims=0),
    "automatic pads, more after": _one("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "automatic pads, more before": _one("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
    "normalisation": _one(
        "BatchNormalization",
        drawn(9),
        drawn(9, seed=1),
        drawn(9, seed=2),
        drawn(9, seed=3) ** 2,
        epsilon=1e-3,
    ),
    "times a number": _one("Mul", F(0.3)),
    "a number less it": Builder().constant("c", 0.3).node("Sub", ["c", "x"], "y"),
    "less a number a channel": _one("Sub", drawn(9, 1, 1)),
    "divided by a number a channel": _one("Div", drawn(1, 9, 1, 1)),
    "squeeze and excite": Builder()
    .node("GlobalAveragePool", ["x"], "a")
    .conv("a", "b", 9, 4)
    .node("Relu", ["b"], "c")
    .conv("c", "d", 4, 9)
    .node("HardSigmoid", ["d"], "e", alpha=0.25, beta=0.4)
    .node("Mul", ["e", "x"], "y"),
    "channels one after the other": Builder()
    .conv("x", "a", 9, 5)
    .conv("x", "b", 9, 11, 3)
    .node("Concat", ["a", "x", "b"], "c", axis=1)
    .conv("c", "y", 25, 8, 3),
    "a range of channels": _one("Slice", np.array([2]), np.array([-2]), np.array([1]), np.array([3])),
    "softmax over channels": _one("Softmax", axis=1),
    "clip": _one("Clip", F(-0.5), F(0.75)),
    "clip on one side": Builder().constant("c", 0.25).node("Clip", ["x", "", "c"], "y"),
    **{
        name: _one(name)
        for name in ("Relu", "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Erf", "Exp")
    },
    **{name: _one(name) for name in ("Softplus", "Abs", "Neg", "Identity", "Dropout")},
    "root and logarithm": Builder().node("Abs", ["x"], "a").node("Sqrt", ["a"], "b").node("Log", ["b"], "y"),
    "numbers of the two": Builder()
    .node("Sigmoid", ["x"], "a")
    .node("Mul", ["x", "a"], "b")
    .node("Sub", ["b", "x"], "c")
    .node("Exp", ["a"], "d")
    .node("Div", ["c", "d"], "e")
    .node("Neg", ["e"], "y"),
}

CASES = {
    **CONVOLUTIONS,
    **{name: made.model(9, 5, 5) for name, made in {**LAYOUTS, **FUSIONS, **OPERATORS}.items()},
}
