"""Where an ONNX file begins to answer differently from the network it was made of."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tenfold.core.errors import ExportError
from tenfold.deploy.answers import answers
from tenfold.deploy.runtime import RUNTIME_ERRORS, session

__all__ = ["first_difference", "relative_difference"]

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_UNRUNNABLE: tuple[type[Exception], ...] = (ExportError, *RUNTIME_ERRORS)


def relative_difference(expected: Tensor, answer: Tensor) -> float:
    """Largest ``|expected - answer|`` over ``max(1, max |expected|)``.

    NaN where either holds NaN; 0 where both are empty.

    Example:
        >>> relative_difference(torch.tensor([4.0, 0.0]), torch.tensor([4.0, 1.0]))
        0.25
    """
    if expected.numel() == 0:
        return 0.0
    expected, answer = expected.double(), answer.double()
    return float((expected - answer).abs().max() / expected.abs().max().clamp(min=1.0))


def first_difference(model: nn.Module, path: str | Path, images: Tensor, tolerance: float) -> str | None:
    """Name of the first layer of the file whose output is off by more than `tolerance`.

    A layer is known by the name of its weight, which the export keeps; one whose weight lost its name
    or serves several layers is passed over. Where a batch normalisation follows, both outputs count as right,
    since it may have been folded in.

    Args:
        model: the network, any training flags.
        path: the ONNX file.
        images: (n, channels, height, width).
        tolerance: as for `relative_difference`.

    Returns:
        The qualified name in `model`, or None if no known layer differs or the file cannot be taken apart.
    """
    proto = onnx.load(path)
    outputs = _layer_outputs(proto, model)
    if not outputs:
        return None
    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=v) for v in outputs.values() if v not in known)
    try:
        runtime = session(proto.SerializeToString(), threads=1)
        feed = {runtime.get_inputs()[0].name: images.cpu().numpy()}
        met = runtime.run(list(outputs.values()), feed)
    except _UNRUNNABLE:
        return None
    with _recorded(model, set(outputs)) as right:
        answers(model, images)
    for name, answer in zip(outputs, met, strict=True):
        if not any(_near(candidate, answer, tolerance) for candidate in right.get(name, [])):
            return name
    return None


def _near(expected: Tensor, answer: np.ndarray, tolerance: float) -> bool:
    """Whether one output of a layer is what it should be."""
    answered = torch.from_numpy(answer)
    return expected.shape == answered.shape and relative_difference(expected, answered) <= tolerance


def _layer_outputs(proto: onnx.ModelProto, model: nn.Module) -> dict[str, str]:
    """Layer name -> name of its output in the file, in the file's order."""
    pairs = [
        (node.input[1].removesuffix(".weight"), node.output[0])
        for node in proto.graph.node
        if node.op_type in _WEIGHTED and len(node.input) > 1
    ]
    uses = Counter(name for name, _ in pairs)
    layers = dict(model.named_modules())
    return {name: value for name, value in pairs if uses[name] == 1 and name in layers}


@contextlib.contextmanager
def _recorded(model: nn.Module, names: set[str]) -> Iterator[dict[str, list[Tensor]]]:
    """The outputs of the named layers, and of the batch normalisations that take them, while inside."""
    found: dict[str, list[Tensor]] = {}

    def layer_hook(name: str, output: Tensor) -> None:
        found.setdefault(name, []).append(output)

    def norm_hook(taken: Tensor, output: Tensor) -> None:
        for outputs in found.values():
            if outputs[-1] is taken:
                outputs.append(output)

    handles = []
    for name, module in model.named_modules():
        if name in names:
            handles.append(module.register_forward_hook(lambda _m, _i, out, name=name: layer_hook(name, out)))
        elif isinstance(module, _BatchNorm):
            handles.append(module.register_forward_hook(lambda _m, inp, out: norm_hook(inp[0], out)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
