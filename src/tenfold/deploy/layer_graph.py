"""One layer, or the chain in its place, as an ONNX file in memory: what is timed before it is fitted."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tenfold.core.shapes import ConvSpec, Pair, Stage, geometry
from tenfold.deploy.onnx import OPSET

__all__ = ["layer_graph", "random_weights"]

_IR = 10


def layer_graph(spec: ConvSpec, stages: tuple[Stage, ...], size: Pair) -> bytes:
    """An ONNX model with random weights and the bias that a folded batch norm leaves in the last stage.

    Args:
        spec: the layer that is replaced.
        stages: its chain; one stage for the layer itself.
        size: (height, width) of the input; of a linear layer (1, rows).

    Notes:
        Other paddings than zeros are computed as zeros, which take the same time in the convolution itself.
    """
    names = ["image", *(f"x{n}" for n in range(1, len(stages))), "answer"]
    nodes, tensors = [], []
    weights = random_weights(stages)
    for number, (stage, weight) in enumerate(zip(geometry(spec, stages), weights, strict=True)):
        last = number == len(stages) - 1
        given = [names[number], f"w{number}", *(["b"] if last else [])]
        shaped = weight.reshape(weight.shape[:2]) if spec.linear else weight
        tensors.append(numpy_helper.from_array(shaped, f"w{number}"))
        nodes.append(_node(stage, given, names[number + 1]))
    tensors.append(numpy_helper.from_array(np.zeros(spec.out, dtype=np.float32), "b"))
    image = [size[1], spec.inp] if spec.linear else [1, spec.inp, *size]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        initializer=tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR)
    return bytes(model.SerializeToString())


def random_weights(stages: tuple[Stage, ...]) -> list[np.ndarray]:
    """A weight a stage that keeps the size of activations, the same each time."""
    generator = np.random.default_rng(0)
    return [
        generator.standard_normal(stage.shape, dtype=np.float32) / np.float32(prod(stage.shape[1:]) ** 0.5)
        for stage in stages
    ]


def _node(stage: ConvSpec, given: list[str], made: str) -> onnx.NodeProto:
    """One stage."""
    if stage.linear:
        return helper.make_node("Gemm", given, [made], transB=1)
    return helper.make_node(
        "Conv",
        given,
        [made],
        kernel_shape=list(stage.kernel),
        strides=list(stage.stride),
        dilations=list(stage.dilation),
        group=stage.groups,
        pads=_pads(stage),
    )


def _pads(stage: ConvSpec) -> list[int]:
    """Zeros before and after each axis."""
    if stage.padding == "same":
        whole = [d * (k - 1) for d, k in zip(stage.dilation, stage.kernel, strict=True)]
        return [w // 2 for w in whole] + [w - w // 2 for w in whole]
    padding = (0, 0) if isinstance(stage.padding, str) else stage.padding
    return [*padding, *padding]
