"""ONNX Runtime, silent: the only module of the runner that imports it.

From 1.29 on ONNX Runtime reports its use to its vendor, unless ``ORT_DISABLE_TELEMETRY=1`` is in the
environment before it is imported. A device that classifies images reports nothing.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime import InferenceSession

from tenfold_runner.errors import PackageError

__all__ = ["RUNTIME_VERSION", "InferenceSession", "open_session"]

RUNTIME_VERSION: str = onnxruntime.__version__

_FATAL_ONLY = 4


def open_session(model: bytes, *, threads: int = 1) -> InferenceSession:
    """A session on the processor that prints nothing and leaves the cores alone between two images.

    Args:
        model: an ONNX file.
        threads: threads inside one operator, at least 1.

    Raises:
        PackageError: ONNX Runtime cannot read `model`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base but this one
        cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise PackageError(f"the network cannot be loaded: {cause}; get the package again") from error
