"""The networks of a run against each other: how fast, how much memory, and where the time goes."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from tenfold.core.atomic import write_text
from tenfold.core.errors import RunError
from tenfold.deploy.bench import Contender, Timing, bench, threads_of_all
from tenfold.deploy.memory import memory_bytes
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.profile import NodeTime, profile
from tenfold.jobs.shipped import Shipped, shipped
from tenfold.options import Progress, silent
from tenfold.runs.directory import RunDirectory

__all__ = ["BenchedRun", "LayerTime", "bench_run"]

_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class LayerTime:
    """Part of the time of one image that a layer takes.

    Attributes:
        layer: qualified name in the original network, or the ONNX operator of what belongs to no layer.
        median_ms: milliseconds an image, all its stages and what is fused with them.
        share: of the whole, in [0, 1].
        stages: nodes that compute it.
    """

    layer: str
    median_ms: float
    share: float
    stages: int


@dataclass(frozen=True)
class BenchedRun:
    """What `tenfold bench` measured.

    Attributes:
        path: of bench.json.
        timings: a row a network, runtime, batch and number of threads.
        memory: (network, batch) -> bytes that ONNX Runtime takes for it; None where the system does not tell.
        layers: of the compressed network, the slowest first.
        reason: why there is no original; empty otherwise.
    """

    path: Path
    timings: tuple[Timing, ...]
    memory: Mapping[tuple[str, int], int | None]
    layers: tuple[LayerTime, ...]
    reason: str


def bench_run(
    run: Path,
    *,
    batches: tuple[int, ...] = (1, 32),
    threads: tuple[int, ...] = (),
    repetitions: int = 30,
    progress: Progress = silent,
) -> BenchedRun:
    """Measure the compressed network of a run, beside the original where that can be built again.

    Args:
        run: directory of a finished run; bench.json in it is replaced.
        batches: images in a run.
        threads: numbers of threads; one and all cores by default.
        repetitions: timed runs of each, at least 30.
        progress: told what is going on.

    Raises:
        RunError: the run is incomplete, or fewer than 30 repetitions were asked for.
        ExportError: a network cannot be exported or run.
    """
    if repetitions < 30:
        raise RunError(f"asked for {repetitions} timed runs; a median worth reporting needs at least 30")
    found = shipped(run)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        contenders = {
            name: Contender(model, export_onnx(model, Path(folder) / f"{name}.onnx", found.shape))
            for name, model in _networks(found).items()
        }
        timings = bench(
            contenders,
            found.shape,
            batches=batches,
            threads=threads,
            repetitions=repetitions,
            progress=lambda done, total: progress("bench", done, total),
        )
        memory = {
            (name, batch): memory_bytes(contender.path, found.shape, batch=batch)
            for name, contender in contenders.items()
            for batch in batches
        }
        nodes = profile(contenders["compressed"].path, found.shape, repetitions=repetitions)
    directory = RunDirectory(run)
    layers = _by_layer(nodes, tuple(directory.read_plan()))
    benched = BenchedRun(directory.path / "bench.json", tuple(timings), memory, layers, found.reason)
    write_text(benched.path, json.dumps(_as_json(benched, nodes), indent=1) + "\n")
    return benched


def _networks(found: Shipped) -> dict[str, nn.Module]:
    """The original first, where there is one."""
    before = {} if found.original is None else {"original": found.original}
    return {**before, "compressed": found.model}


def _by_layer(nodes: list[NodeTime], names: tuple[str, ...]) -> tuple[LayerTime, ...]:
    """Nodes summed up by the layer of the plan that they come from, or by operator."""
    sums: dict[str, list[NodeTime]] = {}
    for node in nodes:
        sums.setdefault(_owner(node, names), []).append(node)
    rows = [
        LayerTime(name, sum(n.median_ms for n in found), sum(n.share for n in found), len(found))
        for name, found in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.median_ms))


def _owner(node: NodeTime, names: tuple[str, ...]) -> str:
    """A layer of the plan, a layer that is not in it, or an operator."""
    owners = [name for name in names if node.layer == name or node.layer.startswith(f"{name}.")]
    return max(owners, key=len) if owners else node.layer or f"({node.kind})"


def _as_json(benched: BenchedRun, nodes: list[NodeTime]) -> dict[str, Any]:
    """The content of bench.json."""
    return {
        "machine": {"cores": os.cpu_count(), "usable": threads_of_all(), "processor": _processor()},
        "versions": {name: version(name) for name in ("tenfold", "torch", "onnx", "onnxruntime")},
        "timings": [_flat(row) for row in benched.timings],
        "memory": [
            {"network": name, "batch": batch, "bytes": taken}
            for (name, batch), taken in benched.memory.items()
        ],
        "layers": [asdict(row) for row in benched.layers],
        "nodes": [asdict(node) for node in nodes],
        "original": benched.reason or "measured",
    }


def _flat(row: Timing) -> dict[str, Any]:
    """A timing without the nesting."""
    values = asdict(row)
    spread = values.pop("spread")
    return {**values, **spread}


def _processor() -> str:
    """What the system calls its processor."""
    return platform.processor() or platform.machine()
