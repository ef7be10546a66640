"""ONNX to the steps of the native package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from tenfold.core.errors import ExportError
from tenfold.packaging.native_node import Node, Unsupported
from tenfold.packaging.native_operators import convert
from tenfold.packaging.native_steps import Network, Shape, Step

__all__ = ["read"]

_MOST_ELEMENTS = (
    4096  # of a constant that is worked out here; shapes are far smaller, weights are not worked out
)


def read(model: bytes) -> Network:
    """The network of an ONNX file, for one image at a time.

    Args:
        model: the file: float32, one image (batch, channels, height, width) in, one value out.

    Raises:
        ExportError: the file cannot be read, or an operator or one of its settings is not covered; the
            message names the node.
    """
    graph = _one_image(_parsed(model))
    sizes = _sizes(graph)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    same: dict[str, str] = {}  # values that are another one under a new name
    steps: list[Step] = []
    for node in graph.graph.node:
        if _fold(node, graph, constants, sizes):
            continue
        made = _converted(Node(node, constants, sizes, same))
        if isinstance(made, str):
            same[node.output[0]] = made
        else:
            steps += made
    image, answer = graph.graph.input[0].name, graph.graph.output[0].name
    answer = same.get(answer, answer)
    names = [image, *(step.output for step in steps)]
    if answer not in names:
        raise ExportError(
            "native package: the answer of the network does not depend on its image; export again"
        )
    return Network(image, answer, tuple(steps), {name: _shape(name, sizes) for name in names})


def _parsed(model: bytes) -> onnx.ModelProto:
    """The file as a message."""
    try:
        return onnx.load_model_from_string(model)
    except Exception as error:  # noqa: BLE001  protobuf has no base class of its own that could be named here
        raise ExportError(
            f"native package: the bytes are no ONNX file ({error}); export the network again"
        ) from None


def _one_image(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with a batch of 1 and all shapes known."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    images = [value for value in proto.graph.input if value.name not in weights]
    if len(images) != 1 or len(proto.graph.output) != 1:
        raise ExportError(
            f"native package: networks of one image and one answer, met {len(images)} inputs and "
            f"{len(proto.graph.output)} outputs; export the part that classifies"
        )
    for value in (*images, *proto.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    del proto.graph.input[:]
    proto.graph.input.extend(images)
    try:
        return shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise ExportError(
            f"native package: the shapes inside the network do not fit together: {error}"
        ) from None


def _sizes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The dimensions of every value that has known ones."""
    found = {}
    for value in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dimensions):
            found[value.name] = tuple(d.dim_value for d in dimensions)
    return found


def _fold(
    node: onnx.NodeProto,
    proto: onnx.ModelProto,
    constants: dict[str, NDArray[np.generic]],
    sizes: dict[str, tuple[int, ...]],
) -> bool:
    """Work out a node that depends on no image; whether it is one."""
    if node.op_type == "Shape" and node.input[0] in sizes and not node.attribute:
        constants[node.output[0]] = np.array(sizes[node.input[0]], dtype=np.int64)
        return True
    given = {name: constants[name] for name in node.input if name in constants}
    if len(given) < sum(1 for name in node.input if name):
        return False
    if sum(array.size for array in given.values()) > _MOST_ELEMENTS and node.op_type != "Identity":
        return False
    answers = ReferenceEvaluator(node, opsets={o.domain: o.version for o in proto.opset_import}).run(
        None, given
    )
    for name, array in zip(node.output, answers, strict=True):
        constants[name] = np.asarray(array)
    return True


def _converted(node: Node) -> Sequence[Step] | str:
    """The steps of a node, or the value that its output is."""
    try:
        return convert(node)
    except Unsupported as cause:
        raise ExportError(
            f"native package: node {node.name!r} ({node.operator}): {cause}; "
            "pack for the desktop or the web instead, which run any ONNX file"
        ) from None


def _shape(name: str, sizes: dict[str, tuple[int, ...]]) -> Shape:
    """Channels, height and width of a value of one image."""
    match sizes.get(name):
        case (1, n):
            return n, 1, 1
        case (1, channels, height, width):
            return channels, height, width
        case other:
            raise ExportError(
                f"native package: the value {name!r} has the dimensions {other}; only (1, n) and "
                "(1, channels, height, width) are covered"
            )
