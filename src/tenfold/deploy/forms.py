"""The forms in which a network ships, and a look at each from a process that knows the file alone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, fx, nn

from tenfold.core.atomic import write_bytes
from tenfold.core.errors import ExportError, ParityError, UnsupportedLayerError
from tenfold.core.names import FileFormat
from tenfold.deploy.answers import answers
from tenfold.deploy.divergence import relative_difference
from tenfold.deploy.onnx import FORWARD_ERRORS, export_onnx, quiet
from tenfold.layers.graph import describe_graph
from tenfold.layers.mode import in_mode
from tenfold.runs.saved import save_model

__all__ = ["EXTENSIONS", "bytes_of", "export_form", "fresh_parity", "make_folder"]

EXTENSIONS: dict[FileFormat, str] = {"onnx": ".onnx", "pt2": ".pt2", "safetensors": "", "pte": ".pte"}
"""Of the file that each format is; safetensors is a folder."""

_BATCH = 2  # 0 and 1 would be taken for constants

_READ = """
import sys
import numpy as np
from safetensors.numpy import load_file, save_file
path, given, made = sys.argv[1:]
images = load_file(given)["images"]
{body}
save_file({{str(n): np.array(answer, order="C") for n, answer in enumerate(answers)}}, made)
"""
_BODIES: dict[FileFormat, str] = {
    "onnx": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 4
run = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
answers = run.run(None, {run.get_inputs()[0].name: images})
""",
    "pt2": """
import torch
from torch.utils._pytree import tree_leaves
found = torch.export.load(path).module()(torch.from_numpy(images))
answers = [tensor.detach().numpy() for tensor in tree_leaves(found)]
""",
    "safetensors": """
import tenfold, torch
from tenfold.layers.answers import tensors
answers = [tensor.detach().numpy() for tensor in tensors(tenfold.load(path)(torch.from_numpy(images)))]
""",
    "pte": """
import torch
from executorch.runtime import Runtime
method = Runtime.get().load_program(path).load_method("forward")
found = [[a.numpy().copy() for a in method.execute([image[None]])] for image in torch.from_numpy(images)]
answers = [np.concatenate(parts) for parts in zip(*found)]
""",
}


def export_form(model: nn.Module, path: Path, shape: tuple[int, int, int], form: FileFormat) -> Path:
    """Write `model`, as it answers in eval mode.

    - "onnx": see `export_onnx`; any batch.
    - "pt2": a program of `torch.export`, for torch without the network's code; any batch.
    - "safetensors": a folder with model.safetensors and model.json, for `tenfold.load`.
    - "pte": a program of ExecuTorch for devices, computed by XNNPACK; one image at a time.

    Args:
        model: float32, on the CPU.
        path: the file, or the folder, which is made.
        shape: (channels, height, width) of one image.
        form: what to write.

    Raises:
        ExportError: the network cannot be exported in that form, or executorch, which "pte" needs, is not
            installed.
        RunError: the file cannot be written.
    """
    if form == "onnx":
        return export_onnx(model, path, shape)
    if form == "safetensors":
        save_model(model, make_folder(model, path), metadata={})
        return path
    content = _program(model, shape) if form == "pt2" else _executorch(model, shape)
    return write_bytes(path, content)


def make_folder(model: nn.Module, path: Path) -> Path:
    """A folder for the two files of "safetensors", made where it is missing.

    Raises:
        ExportError: the network cannot be rebuilt without its code, or the folder cannot be made.
    """
    try:
        describe_graph(model)
    except UnsupportedLayerError as error:
        raise ExportError(f"safetensors hold no network: {error}; or choose --format pt2") from error
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot make {path}: {error.strerror or error}; choose another --out") from error
    return path


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of model.safetensors and model.json in a folder."""
    files = [path / "model.safetensors", path / "model.json"] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def fresh_parity(
    model: nn.Module, path: Path, images: Tensor, form: FileFormat, *, tolerance: float = 1e-4
) -> float:
    """How far the file, loaded in a fresh process, is from the network.

    That is ``max |torch - file| / max(1, max |torch|)``, the largest over the outputs.

    Args:
        model: taken in eval mode.
        path: what `export_form` wrote for it.
        images: (n, channels, height, width), float32.
        form: of the file.
        tolerance: the most that is allowed.

    Raises:
        ExportError: the process cannot load or run the file.
        ParityError: the difference is above `tolerance` or no number, or the outputs differ in number or
            shape.
    """
    expected = answers(model, images)
    met = _fresh_answers(path, images, form)
    shapes = [[tuple(answer.shape) for answer in side] for side in (expected, met)]
    if shapes[0] != shapes[1]:
        raise ParityError(f"{path} gives outputs {shapes[1]}, the network {shapes[0]}; export it again")
    worst = float(
        torch.tensor([relative_difference(*pair) for pair in zip(expected, met, strict=True)]).max()
    )
    if not worst <= tolerance:  # also where it is NaN
        raise ParityError(
            f"{path} should answer like the network: the largest relative difference is {worst:.3g}, "
            f"allowed is {tolerance:.3g}; export the network again"
        )
    return worst


def _fresh_answers(path: Path, images: Tensor, form: FileFormat) -> list[Tensor]:
    """What a process that knows the file alone answers."""
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        given, made = Path(folder) / "given.safetensors", Path(folder) / "made.safetensors"
        safetensors.torch.save_file({"images": images.contiguous()}, given)
        program = _READ.format(body=_BODIES[form])
        command = [sys.executable, "-c", program, str(path), str(given), str(made)]
        environment = {
            **os.environ,
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            cause = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
            raise ExportError(f"{path} does not run in a process of its own: {cause}; export it again")
        found = safetensors.torch.load_file(made)
    return [found[str(number)] for number in range(len(found))]


def _program(model: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The bytes of a .pt2 file, the same for the same network."""
    content = io.BytesIO()
    batch = ({0: torch.export.Dim("batch")},)
    with in_mode(model, training=False), quiet(), torch.no_grad():
        try:
            program = torch.export.export(model, (torch.zeros(_BATCH, *shape),), dynamic_shapes=batch)
        except FORWARD_ERRORS as error:
            raise _failed("torch.export", error, "check that it fixes no batch size") from error
        graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, fx.GraphModule)]
        for node in chain.from_iterable(graph.nodes for graph in graphs):
            node.meta.pop("stack_trace", None)  # paths and lines of this machine
        program.example_inputs = None
        torch.export.save(program, content)
    return content.getvalue()


def _executorch(model: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The bytes of a .pte file."""
    with in_mode(model, training=False), quiet(), torch.no_grad():
        lower, partitioner, refusals = _executorch_tools()
        refusals += FORWARD_ERRORS
        try:
            program = torch.export.export(model, (torch.zeros(1, *shape),))
            return bytes(lower(program, partitioner=[partitioner()]).to_executorch().buffer)
        except refusals as error:
            raise _failed("executorch", error, "take another format") from error


def _executorch_tools() -> tuple[Any, Any, tuple[type[Exception], ...]]:
    """What lowers a program, what hands it to XNNPACK, and what both raise: an extra, slow to import."""
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import (  # noqa: PLC0415
            XnnpackPartitioner,
        )
        from executorch.exir import error, to_edge_transform_and_lower  # noqa: PLC0415
    except (ImportError, OSError) as cause:  # OSError: a library that is not made for this torch
        raise ExportError(
            f"a .pte file is made by executorch, which is not installed or does not load ({cause}): "
            "pip install 'tenfold[executorch]'"
        ) from cause
    return to_edge_transform_and_lower, XnnpackPartitioner, (error.ExportError, error.InternalError, OSError)


def _failed(tool: str, error: BaseException, advice: str) -> ExportError:
    """What `tool` said, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return ExportError(f"{tool} failed: {cause}; {advice}")
