"""Weights stored in 8 bits and computed with in float32: a quarter of the bytes at no cost in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tenfold.core.atomic import write_bytes
from tenfold.core.shapes import at_a_time
from tenfold.deploy.runtime import session

__all__ = ["WEIGHTED", "balance", "correct_biases", "small_layers", "store_weights"]

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operators with weights: their second input."""

_BATCH = 64
_LARGEST = 127
_ALIKE = 1e-6  # relative; maxima of rows that differ by less are one number
_FEWEST = 64  # weights of a layer below which a scale and two nodes take more than they save

Array = NDArray[np.float32]


def balance(source: Path, out: Path) -> Path:
    """Write `source` with the channels between the stages of a chain brought to one scale.

    Between two convolutions with nothing else in between, channel c may be divided by any number before, if
    it is multiplied by it after: the network stays what it is. The number is the largest weight that makes
    channel c, so that the weights of a stage have one range, and one scale in 8 bits serves them all.

    Args:
        source: float32 file, as `export_onnx` writes it.
        out: file to write.

    Raises:
        RunError: the file cannot be written.
    """
    proto = onnx.load(source)
    weights = _weights(proto.graph)
    for first, second in _pairs(proto.graph):
        one, other = weights[first.input[1]], weights[second.input[1]]
        largest = np.abs(one).max(axis=(1, 2, 3))
        factor = np.where(largest > 0, largest, 1).astype(np.float32)
        one /= factor[:, None, None, None]
        if len(first.input) > 2:
            weights[first.input[2]] /= factor
        groups = len(factor) // other.shape[1]
        by_group = other.reshape(groups, -1, *other.shape[1:])
        by_group *= factor.reshape(groups, 1, -1, 1, 1)
    _replace(proto.graph, {name: numpy_helper.from_array(w, name) for name, w in weights.items()})
    return write_bytes(out, proto.SerializeToString(deterministic=True))


def store_weights(source: Path, out: Path, *, keep: Collection[str] = ()) -> Path:
    """Write `source` with the weights of its layers as 8 bit integers times a scale.

    ``w = s round(w / s)`` with ``s = max |w| / 127``: one s a layer where all its output channels have the
    same largest weight, else one a channel. A runtime computes w once, when it loads the file. Layers whose
    weights are not in float32 stay as they are.

    Args:
        source: file of float32, or partly of 8 bits.
        out: file to write; may be `source`.
        keep: layers that stay as they are.

    Raises:
        RunError: the file cannot be written.
    """
    proto = onnx.load(source)
    weights = _weights(proto.graph)
    stored: dict[str, tuple[TensorProto, ...]] = {}
    nodes: list[NodeProto] = []
    for node in proto.graph.node:
        name = node.input[1] if node.op_type in WEIGHTED else ""
        if name in weights and name not in stored and _layer(name) not in keep:
            stored[name], made = _in_eight_bits(name, weights[name], str(len(stored)), node)
            nodes += made
        nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    _replace(proto.graph, dict.fromkeys(stored))
    proto.graph.initializer.extend(tensor for tensors in stored.values() for tensor in tensors)
    return write_bytes(out, proto.SerializeToString(deterministic=True))


def correct_biases(exact: Path, made: Path, images: Array) -> Path:
    """Take from the biases in `made` what rounding its weights has added to their channels on average.

    Convolution by convolution in the order of computing, so that each sees what the earlier ones now give.
    Those without a bias in float32 are left as they are.

    Args:
        exact: the network in float32.
        made: what `store_weights` made of it, with the same names; it is replaced.
        images: (n, channels, height, width), as the network takes them: training images.

    Raises:
        RunError: the file cannot be written.
    """
    proto, original = onnx.load(made), onnx.load(exact)
    biases = _weights(proto.graph)
    shared = {name for node in original.graph.node for name in node.output}
    corrected = [
        (node.output[0], node.input[2])
        for node in proto.graph.node
        if node.op_type == "Conv" and len(node.input) > 2 and node.input[2] in biases
        if node.output[0] in shared
    ]
    expected = _means(original, [name for name, _ in corrected], images)
    for name, bias in corrected:
        biases[bias] -= _means(proto, [name], images)[name] - expected[name]
        _replace(proto.graph, {bias: numpy_helper.from_array(biases[bias], bias)})
    return write_bytes(made, proto.SerializeToString(deterministic=True))


def _means(proto: ModelProto, names: list[str], images: Array) -> dict[str, Array]:
    """Means of the channels of values inside a network."""
    if not names:
        return {}
    opened = ModelProto()
    opened.CopyFrom(proto)
    del opened.graph.output[:]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    opened.graph.output.extend(values)
    runtime = session(opened.SerializeToString(), threads=1)
    (given,) = runtime.get_inputs()
    together = at_a_time(images.shape, _BATCH)
    batches = [images[n : n + together] for n in range(0, len(images), together)]
    sums = [[x.mean((2, 3)).sum(0) for x in runtime.run(None, {given.name: batch})] for batch in batches]
    totals = [np.sum(found, axis=0) / len(images) for found in zip(*sums, strict=True)]
    return {name: total.astype(np.float32) for name, total in zip(names, totals, strict=True)}


def small_layers(path: Path) -> list[str]:
    """Layers of so few weights that 8 bits save no bytes."""
    graph = onnx.load(path).graph
    weights = _weights(graph)
    names = [node.input[1] for node in graph.node if node.op_type in WEIGHTED]
    return [_layer(name) for name in names if name in weights and weights[name].size < _FEWEST]


def _layer(name: str) -> str:
    """The layer that a tensor of weights belongs to."""
    return name.partition(".weight")[0]


def _in_eight_bits(
    name: str, weights: Array, key: str, node: NodeProto
) -> tuple[tuple[TensorProto, ...], list[NodeProto]]:
    """Integers and scale, and the nodes that make the weights of them, which a runtime folds, unlike QDQ."""
    channel = 0 if node.op_type == "Conv" or _attribute(node, "transB") else weights.ndim - 1
    others = tuple(axis for axis in range(weights.ndim) if axis != channel)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    if largest.max() - largest.min() <= _ALIKE * largest.max():
        largest = largest.max(keepdims=True).reshape(())
    scale = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    integers = np.rint(weights / scale).astype(np.int8)
    tensors = (numpy_helper.from_array(integers, f"q{key}"), numpy_helper.from_array(scale, f"s{key}"))
    made = [
        helper.make_node("Cast", [f"q{key}"], [f"f{key}"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"f{key}", f"s{key}"], [name]),
    ]
    return tensors, made


def _attribute(node: NodeProto, name: str) -> int:
    """A whole number of a node; 0 where it is not set."""
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)


def _weights(graph: GraphProto) -> dict[str, Array]:
    """Copies of all float32 tensors by name."""
    return {
        tensor.name: numpy_helper.to_array(tensor).copy()
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    }


def _pairs(graph: GraphProto) -> Iterator[tuple[NodeProto, NodeProto]]:
    """Convolutions and the convolution that alone takes what they give, in the order of computing."""
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    takers = {node.input[0]: node for node in graph.node if node.op_type == "Conv"}
    own = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    for node in graph.node:
        if node.op_type != "Conv" or node.output[0] not in takers or uses[node.output[0]] != 1:
            continue
        taker = takers[node.output[0]]
        tensors = [*node.input[1:], taker.input[1]]
        if own.issuperset(tensors) and all(uses[name] == 1 for name in tensors):
            yield node, taker


def _replace(graph: GraphProto, tensors: dict[str, TensorProto | None]) -> None:
    """Put tensors in the place of those of the same name; None takes one out."""
    kept = [tensors.get(old.name, old) for old in graph.initializer]
    del graph.initializer[:]
    graph.initializer.extend(tensor for tensor in kept if tensor is not None)
