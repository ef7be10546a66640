"""ONNX Runtime, silent: the only module of tenfold that imports it.

From 1.29 on ONNX Runtime reports its use to its vendor, and keeps a database in the user's home for that,
unless ``ORT_DISABLE_TELEMETRY=1`` is in the environment before it is imported. Here it is set first, whatever
stood there; processes that this one starts inherit it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime import InferenceSession
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from tenfold.core.errors import ExportError

__all__ = ["RUNTIME_ERRORS", "RUNTIME_VERSION", "InferenceSession", "quantise_static", "session"]

RUNTIME_VERSION: str = onnxruntime.__version__

# they share no base below Exception
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    _state.EPFail,
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NoModel,
    _state.NoSuchFile,
    _state.NotImplemented,
    _state.RuntimeException,
)

_FATAL_ONLY = 4


def session(source: str | Path | bytes, *, threads: int, profile: Path | None = None) -> InferenceSession:
    """A session on the CPU that prints nothing and leaves the cores alone between two runs.

    Args:
        source: path of an ONNX file, or its bytes.
        threads: threads inside one operator, at least 1; operators run one after the other.
        profile: beginning of the name of a file to write times of operators to; none by default.

    Raises:
        ExportError: `threads` is below 1, or ONNX Runtime cannot read `source`.
    """
    if threads < 1:
        raise ExportError(f"asked for an ONNX Runtime session on {threads} threads; pass threads=1 or more")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    # threads that spin on after a run would slow whatever is timed next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    model = source if isinstance(source, bytes) else str(source)
    try:
        return InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        name = "the bytes given" if isinstance(source, bytes) else str(source)
        cause = str(error).strip().splitlines()[0]
        raise ExportError(f"ONNX Runtime cannot load {name}: {cause}; export the network again") from error


def quantise_static(source: Path, out: Path, reader: Any, *, nodes_to_exclude: list[str]) -> None:
    """ONNX Runtime's own tool, as `tenfold.deploy.quantise` wants it; its errors pass through.

    Args:
        source: float32 file.
        out: file to write.
        reader: gives batches of calibration images, as its `CalibrationDataReader` does.
        nodes_to_exclude: names of nodes that stay as they are.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # noqa: PLC0415  slow to import

    quantize_static(
        source,
        out,
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=nodes_to_exclude,
    )
