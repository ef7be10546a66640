"""Where the time of an ONNX file goes, layer by layer, as ONNX Runtime's own profiler sees it."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tenfold.core.errors import ExportError
from tenfold.deploy.runtime import session
from tenfold.deploy.verify import runner

__all__ = ["NodeTime", "profile"]

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_PASSING = frozenset({"Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Add", "BatchNormalization"})
_FUSED = _WEIGHTED | {"FusedConv", "FusedGemm", "QLinearConv", "QGemm", "QLinearMatMul"}
_WARM_UP = 5
_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class NodeTime:
    """One node of the graph that ONNX Runtime runs.

    Attributes:
        layer: qualified name of the layer whose weight it uses; empty for other nodes.
        kind: ONNX operator, such as "Conv" or "ReorderInput".
        name: of the node, as the runtime calls it after its fusions.
        median_ms: milliseconds a run.
        share: of the sum over all nodes, in [0, 1].
    """

    layer: str
    kind: str
    name: str
    median_ms: float
    share: float


def profile(
    path: str | Path,
    shape: tuple[int, int, int],
    *,
    threads: int = 1,
    batch: int = 1,
    repetitions: int = 30,
) -> list[NodeTime]:
    """Times of all nodes, in the order in which they run.

    Args:
        path: what `export_onnx` wrote; layers are known by the names of their weights.
        shape: (channels, height, width) of one image.
        threads: threads of ONNX Runtime.
        batch: images in a run.
        repetitions: runs that are counted, after five that are not.

    Raises:
        ExportError: ONNX Runtime cannot load or run the file.

    Notes:
        The clock of the profiler has steps of a microsecond, and keeping its book slows small nodes: shares
        are meant for comparison, `latency_ms` for the whole.
    """
    images = np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        runtime = session(path, threads=threads, profile=Path(folder) / "profile")
        run = runner(runtime, images)
        for _ in range(_WARM_UP + repetitions):
            run()
        events = json.loads(Path(runtime.end_profiling()).read_text(encoding="utf-8"))
    return _summed_up(events, _layers(path), repetitions)


def _summed_up(events: list[dict[str, Any]], layers: dict[str, str], repetitions: int) -> list[NodeTime]:
    """The median of each node over the last runs."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            name = event["name"].removesuffix(_KERNEL)
            times[name, event["args"]["op_name"]].append(event["dur"] / 1e3)
    if not times:
        raise ExportError("ONNX Runtime's profiler wrote no times of nodes; update onnxruntime")
    medians = {node: float(np.median(found[-repetitions:])) for node, found in times.items()}
    whole = sum(medians.values()) or 1.0
    return [
        NodeTime(_layer_of(name, kind, layers), kind, name, time, time / whole)
        for (name, kind), time in medians.items()
    ]


def _layers(path: str | Path) -> dict[str, str]:
    """Name of a node or of its output -> the layer whose weight it uses.

    ONNX Runtime calls a fused node after the first or after its last output; activations and sums directly
    behind a layer therefore count as its outputs too.
    """
    found: dict[str, str] = {}
    for node in onnx.load(path, load_external_data=False).graph.node:
        if node.op_type in _WEIGHTED and len(node.input) > 1:
            layer = node.input[1].partition(".weight")[0]
        elif node.op_type in _PASSING and node.input[0] in found:
            layer = found[node.input[0]]
            found.setdefault(node.output[0], layer)
            continue
        else:
            continue
        found[node.name] = found[node.output[0]] = layer
    return found


def _layer_of(name: str, kind: str, layers: dict[str, str]) -> str:
    """The layer of a node that may have been renamed by a fusion."""
    if kind.startswith("Reorder"):
        return ""
    core = name.removeprefix("fused ").removesuffix("_nchwc")
    if core in layers:
        return layers[core]
    near = [known for known in layers if core.startswith(f"{known}/") or core.startswith(f"{known}_")]
    return layers[max(near, key=len)] if near and kind in _FUSED else ""
