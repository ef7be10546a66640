"""A torch network as one ONNX file that holds the network and nothing about the machine it came from."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from tenfold.core.atomic import write_bytes
from tenfold.core.errors import ExportError
from tenfold.layers.answers import tensors
from tenfold.layers.mode import in_mode

__all__ = ["FORWARD_ERRORS", "OPSET", "compact", "export_onnx", "quiet", "strip"]

OPSET = 18  # what the exporter writes natively: nothing is converted afterwards
_LARGEST_BYTES = 1_500_000_000  # protobuf ends at 2 GB

_NOT_SHIPPED = frozenset({"doc_string", "metadata_props", "value_info"})
_EXAMPLE_BATCH = 2  # 0 and 1 would be taken for constants
FORWARD_ERRORS = (
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
)


def export_onnx(model: nn.Module, path: str | Path, shape: tuple[int, int, int]) -> Path:
    """Write `model`, as it answers in eval mode, to one ONNX file with a dynamic batch.

    The input is ``image`` (batch, channels, height, width), float32; the output is ``logits``, or
    ``output_0``, ``output_1``, ... where there are several. Batch normalisation is folded into the
    convolution before it. Names of layers stay; source paths, stack traces and comments are taken out.
    The same network gives the same bytes.

    Args:
        model: float32; its training flags and parameters are left as they are. Hooks are run.
        path: where to write; an old file is replaced once the new one is whole.
        shape: (channels, height, width) of one image.

    Returns:
        `path`.

    Raises:
        ExportError: the network does not take a batch of that shape, fixes the batch size, uses an
            operation that ONNX has not, is not float32 or has more than 1.5 GB.
        RunError: the file cannot be written.

    Notes:
        Not folded: a batch normalisation that follows no convolution; it stays a node of its own.
    """
    path = Path(path)
    _check(model)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    example = torch.zeros(_EXAMPLE_BATCH, *shape, device=device)
    with in_mode(model, training=False), quiet(), torch.no_grad():
        try:
            names = _output_names(model(example))
            proto = _convert(model, example, names)
        except FORWARD_ERRORS as error:
            raise _explain(error, shape) from error
    strip(proto)
    _check_batch(proto)
    return write_bytes(path, proto.SerializeToString(deterministic=True))


def _check(model: nn.Module) -> None:
    """Refuse what would make a file that no one can run."""
    tensors = [*model.parameters(), *model.buffers()]
    foreign = sorted({str(t.dtype) for t in tensors if t.is_floating_point() and t.dtype != torch.float32})
    if foreign:
        raise ExportError(
            f"ONNX export of float32 networks only; this one holds {', '.join(foreign)}: call .float()"
        )
    size_bytes = sum(t.numel() * t.element_size() for t in tensors)
    if size_bytes > _LARGEST_BYTES:
        raise ExportError(
            f"ONNX export to one file: the tensors take {size_bytes:,} bytes, the most is {_LARGEST_BYTES:,}"
            "; compress the network further"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter prints, logs and warns about itself; none of that is for the user."""
    disabled = logging.root.manager.disable
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


def _output_names(answer: object) -> list[str]:
    """A name for each tensor of the network's answer."""
    count = sum(1 for _ in tensors(answer))
    return ["logits"] if count == 1 else [f"output_{n}" for n in range(count)]


def _convert(model: nn.Module, example: Tensor, names: list[str]) -> onnx.ModelProto:
    """The optimised ONNX model, as the exporter leaves it."""
    program = torch.onnx.export(
        model,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=names,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
        optimize=True,
    )
    if program is None:
        raise ExportError("ONNX export: the exporter gave nothing back; update torch")
    return program.model_proto


def _explain(error: BaseException, shape: tuple[int, int, int]) -> ExportError:
    """What went wrong at the bottom, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return ExportError(
        f"ONNX export for images of {shape} (channels, height, width) failed: {cause}; "
        "check the shape, and that forward takes one batch of images and fixes no batch size"
    )


def _check_batch(proto: onnx.ModelProto) -> None:
    """Refuse a file that takes only the batch it was traced with."""
    for value in [*proto.graph.input, *proto.graph.output]:
        sizes = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        if sizes[:1] != ["batch"]:
            raise ExportError(
                f"ONNX export with a dynamic batch: {value.name!r} came out with the shape {sizes}, whose "
                "first size should be the batch; take fixed batch sizes and sums over the batch out"
            )


def compact(path: Path) -> Path:
    """Take out of a file, in place, what a runtime does not need: names, and attributes at their defaults.

    In a network of a hundred small layers these take more bytes than weights of one byte. Values inside are
    renamed to 1, 2, 3, ... in base 16; inputs and outputs keep their names. Names stay in files with graphs
    inside their nodes, which may use outer ones.

    Raises:
        RunError: the file cannot be written.
    """
    proto = onnx.load(path)
    graph = proto.graph
    for node in graph.node:
        if node.op_type == "Conv":
            told = [attribute for attribute in node.attribute if not _by_default(attribute)]
            del node.attribute[:]
            node.attribute.extend(told)
    if not any(part.HasField("g") or part.graphs for node in graph.node for part in node.attribute):
        _shorten_names(graph)
    return write_bytes(path, proto.SerializeToString(deterministic=True))


def _by_default(attribute: onnx.AttributeProto) -> bool:
    """Whether a convolution is the same without it; `kernel_shape` is that of its weights."""
    fill = {"strides": 1, "dilations": 1, "pads": 0}
    if attribute.name in fill:
        return set(attribute.ints) <= {fill[attribute.name]}
    plain = {"auto_pad": attribute.s in (b"", b"NOTSET"), "group": attribute.i == 1, "kernel_shape": True}
    return plain.get(attribute.name, False)


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Rename values, take the names off nodes, and initializers out that none of them uses."""
    # an empty name is an input that is left out
    short = {"": ""} | {value.name: value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        node.ClearField("name")
        for names in (node.input, node.output):
            names[:] = [short.setdefault(name, f"{len(short):x}") for name in names]
    used = [tensor for tensor in graph.initializer if tensor.name in short]
    for tensor in used:
        tensor.name = short[tensor.name]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(used)


def strip(message: Any) -> None:
    """Take out all metadata and comments, and the shapes of intermediate values, which a reader can infer."""
    for field, value in message.ListFields():
        if field.name in _NOT_SHIPPED:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                strip(part)
