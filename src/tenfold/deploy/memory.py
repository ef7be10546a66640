"""How much memory a network takes in ONNX Runtime, seen from a process that does nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tenfold.core.errors import ExportError

__all__ = ["memory_bytes"]

_STATUS = Path("/proc/self/status")
# The peak of getrusage would be that of the parent, where this process was forked off a larger one.
_PROGRAM = """
import sys
import numpy as np, onnxruntime
path, batch, *shape = sys.argv[1:]
def kibibytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
before = kibibytes("VmRSS:")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 4
run = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
images = np.zeros((int(batch), *map(int, shape)), dtype=np.float32)
for _ in range(3):
    run.run(None, {run.get_inputs()[0].name: images})
print(1024 * (kibibytes("VmHWM:") - before))
"""


def memory_bytes(path: str | Path, shape: tuple[int, int, int], *, batch: int = 1) -> int | None:
    """What loading and running a file adds to the peak of resident memory, one thread, in a fresh process.

    None where the system has no /proc to tell.

    Args:
        path: an ONNX file.
        shape: (channels, height, width) of one image.
        batch: images in a run.

    Raises:
        ExportError: ONNX Runtime cannot load or run the file.
    """
    if not _STATUS.is_file():
        return None
    command = [sys.executable, "-c", _PROGRAM, str(path), str(batch), *map(str, shape)]
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        cause = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise ExportError(f"memory of {path}: ONNX Runtime cannot run it: {cause}; export the network again")
    return int(done.stdout.split()[-1])
