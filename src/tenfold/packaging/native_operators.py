"""The operators of ONNX that the native package covers, one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np

from tenfold.packaging.native_node import Node, Unsupported
from tenfold.packaging.native_steps import (
    Activate,
    Activation,
    Affine,
    Combine,
    Concat,
    Convolve,
    Flatten,
    Pool,
    Softmax,
    Step,
    Take,
    Window,
)

__all__ = ["convert", "operators"]

Made = Sequence[Step] | str
_END = np.iinfo(np.int32).max


def operators() -> tuple[str, ...]:
    """The names of all operators that are covered.

    Example:
        >>> "Conv" in operators(), "Loop" in operators()
        (True, False)
    """
    return tuple(sorted(_OPERATORS))


def convert(node: Node) -> Made:
    """The steps of `node`, or the name of the value that its output is.

    Raises:
        Unsupported: the operator or a setting is not covered.
    """
    if node.proto.domain not in ("", "ai.onnx") or node.operator not in _OPERATORS:
        raise Unsupported(f"the operator is not covered; covered are {', '.join(operators())}")
    return _OPERATORS[node.operator](node)


def _window(node: Node, kernel: Sequence[int]) -> Window:
    """The window of a convolution or pooling with two spatial axes."""
    if len(kernel) != 2 or len(node.size()) != 4:
        raise Unsupported("it does not work on images with height and width")
    strides = node.attribute("strides", [1, 1])
    dilations = node.attribute("dilations", [1, 1])
    pads = node.attribute("pads", [0, 0, 0, 0])
    automatic = node.attribute("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        whole = [
            max(0, (ceil(size / s) - 1) * s + (k - 1) * d + 1 - size)
            for size, s, k, d in zip(node.size()[2:], strides, kernel, dilations, strict=True)
        ]
        less, more = [n // 2 for n in whole], [n - n // 2 for n in whole]
        pads = [*less, *more] if automatic == "SAME_UPPER" else [*more, *less]
    if min(pads) < 0:
        raise Unsupported(f"negative pads {list(pads)}")
    return Window(_pair(kernel), _pair(strides), _pair(dilations), (pads[0], pads[1], pads[2], pads[3]))


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _convolution(node: Node) -> Made:
    weight, bias = node.weight(1), node.constant(2)
    window = _window(node, weight.shape[2:])
    bias = np.zeros(len(weight)) if bias is None else bias
    groups = int(node.attribute("group", 1))
    return [
        Convolve(**node.frame(), weight=weight, bias=bias.astype(np.float32), window=window, groups=groups)
    ]


def _linear(node: Node) -> Made:
    if node.attribute("transA", 0) or len(node.size()) != 2:
        raise Unsupported("only a batch of vectors times a constant matrix is covered")
    weight = node.weight(1) * np.float32(node.attribute("alpha", 1.0))
    if weight.ndim != 2:
        raise Unsupported("only a batch of vectors times a constant matrix is covered")
    weight = weight if node.attribute("transB", 0) else weight.T
    shift = node.constant(2)
    bias = np.zeros(len(weight)) if shift is None else shift * np.float32(node.attribute("beta", 1.0))
    bias = np.broadcast_to(bias.reshape(-1), len(weight)).astype(np.float32)
    return [Convolve(**node.frame(), weight=weight[:, :, None, None], bias=bias, window=Window((1, 1)))]


def _normalisation(node: Node) -> Made:
    scale, shift, mean, variance = (node.weight(index).astype(np.float64) for index in (1, 2, 3, 4))
    scale = scale / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    shift = shift - mean * scale
    return [Affine(**node.frame(), scale=scale.astype(np.float32), shift=shift.astype(np.float32))]


def _activation(name: str, **defaults: float) -> Callable[[Node], Made]:
    """A function of one number; `defaults` are its attributes, in the order of `Activation`'s numbers."""

    def make(node: Node) -> Made:
        numbers = [float(node.attribute(key, value)) for key, value in defaults.items()]
        return [Activate(**node.frame(), activation=Activation(name, *numbers))]

    return make


def _clip(node: Node) -> Made:
    limits = []
    for index, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        limit = node.constant(index)
        limits.append(float(node.attribute(name, default) if limit is None else limit.item()))
    finite = [float(np.clip(limit, -3.4e38, 3.4e38)) for limit in limits]
    return [Activate(**node.frame(), activation=Activation("CLIP", *finite))]


def _arithmetic(operation: str) -> Callable[[Node], Made]:
    """Addition and its like, of two values or of one and a constant."""

    def make(node: Node) -> Made:
        known = [name in node.constants for name in node.proto.input]
        if any(known):
            return _with_constant(node, operation, first=known[0])
        sizes = [node.size(index) for index in (0, 1)]
        one_pixel = [len(size) == 4 and size[2:] == (1, 1) for size in sizes]
        fit = sizes[0] == sizes[1] or (sizes[0][:2] == sizes[1][:2] and len(sizes[0]) == 4 and any(one_pixel))
        if not fit:
            raise Unsupported(f"values of the sizes {sizes[0]} and {sizes[1]}")
        return [Combine(**node.frame(0, 1), operation=operation)]

    return make


def _with_constant(node: Node, operation: str, *, first: bool) -> Made:
    """A value and a constant number or one a channel."""
    size = node.size(1 if first else 0)
    constant = node.weight(0 if first else 1)
    axes = [1] * (len(size) - constant.ndim) + list(constant.shape)
    if any(length != 1 for axis, length in enumerate(axes) if axis != 1) or len(axes) != len(size):
        raise Unsupported(f"a constant of the shape {constant.shape} with a value of the size {size}")
    c = np.broadcast_to(constant.reshape(-1), size[1]).astype(np.float32)
    one, zero = np.ones_like(c), np.zeros_like(c)
    if first and operation == "DIV":
        raise Unsupported("a constant divided by a value")
    scale, shift = {
        "ADD": (one, c),
        "SUB": (-one, c) if first else (one, -c),
        "MUL": (c, zero),
        "DIV": (one / c, zero),
    }[operation]
    return [Affine(**node.frame(1 if first else 0), scale=scale, shift=shift)]


def _maximum(node: Node) -> Made:
    if len(node.proto.output) > 1:
        raise Unsupported("it gives indices too")
    return [Pool(**node.frame(), kind="MAX", window=_window(node, node.attribute("kernel_shape", [])))]


def _average(node: Node) -> Made:
    counts_pads = bool(node.attribute("count_include_pad", 0))
    window = _window(node, node.attribute("kernel_shape", []))
    if counts_pads and node.attribute("ceil_mode", 0):
        raise Unsupported("ceil_mode together with count_include_pad")
    return [Pool(**node.frame(), kind="MEAN", window=window, counts_pads=counts_pads)]


def _whole(kind: str) -> Callable[[Node], Made]:
    """Pooling over the whole image."""

    def make(node: Node) -> Made:
        if len(node.size()) != 4:
            raise Unsupported("it does not work on images with height and width")
        return [Pool(**node.frame(), kind=kind, window=Window(_pair(node.size()[2:])))]

    return make


def _reduction(kind: str) -> Callable[[Node], Made]:
    """A mean or maximum over height and width."""

    def make(node: Node) -> Made:
        given = node.constant(1)
        axes = node.attribute("axes", None) if given is None else given.tolist()
        rank = len(node.size())
        if rank != 4 or axes is None or sorted(axis % rank for axis in axes) != [2, 3]:
            raise Unsupported(
                f"axes {axes} of a value of the size {node.size()}; only height and width are covered"
            )
        return _whole(kind)(node)

    return make


def _reshape(node: Node) -> Made:
    """All that changes dimensions but no numbers: a new name, or channel by channel in one row."""
    before, after = node.size(), node.output_size()
    trimmed = [size[: 2 if size[2:] in ((), (1, 1)) else len(size)] for size in (before, after)]
    if trimmed[0] == trimmed[1]:
        return node.input()
    if len(trimmed[1]) == 2 and after[0] == before[0] == 1:
        return [Flatten(**node.frame())]
    raise Unsupported(f"from the size {before} to {after}; only flattening is covered")


def _same(node: Node) -> Made:
    return node.input()


def _concatenation(node: Node) -> Made:
    rank = len(node.size())
    if node.attribute("axis", 1) % rank != 1:
        raise Unsupported("only channels can be concatenated")
    return [Concat(**node.frame(*range(len(node.proto.input))))]


def _axes(values: dict[int, int], default: int) -> tuple[int, int, int]:
    """One number for channel, row and column, given by axis of the ONNX value."""
    if values.get(0, default) != default:
        raise Unsupported("it changes the batch")
    return values.get(1, default), values.get(2, default), values.get(3, default)


def _slice(node: Node) -> Made:
    size = node.size()
    starts, ends = node.weight(1).tolist(), node.weight(2).tolist()
    given, strides = node.constant(3), node.constant(4)
    axes = range(len(starts)) if given is None else [int(a) % len(size) for a in given]
    steps = [1] * len(starts) if strides is None else [int(s) for s in strides]
    ranges = {
        axis: range(size[axis])[slice(_limited(start), _limited(end), step)]
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    if min(steps) < 1 or len(ranges.get(0, "1")) != 1:
        raise Unsupported("a step below 1, or a part of the batch")
    start = _axes({axis: found.start for axis, found in ranges.items()}, 0)
    step = _axes({axis: found.step for axis, found in ranges.items()} | {0: 1}, 1)
    high = _axes(dict(enumerate(node.output_size())), 1)
    return [Take(**node.frame(), start=start, step=step, low=(0, 0, 0), high=high)]


def _limited(limit: float) -> int:
    """A bound of a slice; "to the end" is the largest number there is."""
    return int(np.clip(limit, -_END, _END))


def _pad(node: Node) -> Made:
    fill, axes = node.constant(2), node.constant(3)
    if node.attribute("mode", "constant") != "constant" or axes is not None:
        raise Unsupported("only padding of all axes with a constant is covered")
    pads, size = [int(n) for n in node.weight(1)], node.size()
    before = dict(enumerate(pads[: len(size)]))
    if min(pads) < 0 or pads[len(size)]:
        raise Unsupported("negative pads, or pads of the batch")
    low = _axes(before, 0)
    high = _axes({axis: before[axis] + length for axis, length in enumerate(size)}, 1)
    start = (-low[0], -low[1], -low[2])
    value = 0.0 if fill is None else float(fill.item())
    return [Take(**node.frame(), start=start, step=(1, 1, 1), low=low, high=high, fill=value)]


def _softmax(node: Node) -> Made:
    if node.attribute("axis", -1) % len(node.size()) != 1:
        raise Unsupported("only over channels")
    return [Softmax(**node.frame())]


_OPERATORS: dict[str, Callable[[Node], Made]] = {
    "Abs": _activation("ABS"),
    "Add": _arithmetic("ADD"),
    "AveragePool": _average,
    "BatchNormalization": _normalisation,
    "Clip": _clip,
    "Concat": _concatenation,
    "Conv": _convolution,
    "Div": _arithmetic("DIV"),
    "Dropout": _same,
    "Elu": _activation("ELU", alpha=1.0),
    "Erf": _activation("ERF"),
    "Exp": _activation("EXP"),
    "Flatten": _reshape,
    "Gemm": _linear,
    "GlobalAveragePool": _whole("MEAN"),
    "GlobalMaxPool": _whole("MAX"),
    "HardSigmoid": _activation("HARD_SIGMOID", alpha=0.2, beta=0.5),
    "HardSwish": _activation("HARD_SWISH", alpha=1 / 6, beta=0.5),
    "Identity": _same,
    "LeakyRelu": _activation("LEAKY_RELU", alpha=0.01),
    "Log": _activation("LOG"),
    "MatMul": _linear,
    "MaxPool": _maximum,
    "Mul": _arithmetic("MUL"),
    "Neg": _activation("NEG"),
    "Pad": _pad,
    "ReduceMax": _reduction("MAX"),
    "ReduceMean": _reduction("MEAN"),
    "Relu": _activation("RELU"),
    "Reshape": _reshape,
    "Sigmoid": _activation("SIGMOID"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _activation("SOFTPLUS"),
    "Sqrt": _activation("SQRT"),
    "Squeeze": _reshape,
    "Sub": _arithmetic("SUB"),
    "Tanh": _activation("TANH"),
    "Unsqueeze": _reshape,
}
