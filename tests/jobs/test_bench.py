from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tenfold.cli.render import bench_table, layer_time_table
from tenfold.core.errors import RunError
from tenfold.deploy.profile import NodeTime
from tenfold.jobs import bench as bench_job
from tenfold.jobs.bench import bench_run
from tenfold.runs.directory import RunDirectory


@pytest.fixture
def copy(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(finished.path, tmp_path / "run"))


def test_bench_writes_what_it_measured(copy: RunDirectory) -> None:
    found = bench_run(copy.path, batches=(1, 2), threads=(1,))
    content = json.loads((copy.path / "bench.json").read_text())
    cells = {(row["network"], row["runtime"], row["batch"]) for row in content["timings"]}
    assert cells == {
        (network, runtime, batch)
        for network in ("original", "compressed")
        for runtime in ("torch", "onnxruntime")
        for batch in (1, 2)
    }
    row = content["timings"][0]
    assert row["quartiles"][0] <= row["median_ms"] <= row["quartiles"][1]
    assert row["repetitions"] == 30
    assert "spread" not in row
    assert {row["layer"] for row in content["layers"]} >= set(copy.read_plan())
    assert sum(row.share for row in found.layers) == pytest.approx(1)
    times = [row.median_ms for row in found.layers]
    assert times == sorted(times, reverse=True)
    assert content["original"] == "measured"
    assert len(content["memory"]) == 4
    assert bench_table(found).row_count == 4 + 2
    assert layer_time_table(found).row_count == min(len(found.layers), 12) + (len(found.layers) > 12)


def test_bench_without_the_original(copy: RunDirectory) -> None:
    copy.job.write_text(copy.job.read_text().replace("weights.safetensors", "gone.safetensors"))
    found = bench_run(copy.path, batches=(1,), threads=(1,))
    assert {row.network for row in found.timings} == {"compressed"}
    assert "gone.safetensors" in found.reason
    assert "gone.safetensors" in str(bench_table(found).caption)


def test_stages_of_a_chain_are_one_layer() -> None:
    nodes = [
        NodeTime("a.conv.0", "Conv", "n0", 2.0, 0.2),
        NodeTime("a.conv.1", "Conv", "n1", 3.0, 0.3),
        NodeTime("a.conv10", "Conv", "n2", 1.0, 0.1),
        NodeTime("", "Relu", "n3", 4.0, 0.4),
    ]
    rows = bench_job._by_layer(nodes, ("a", "a.conv"))
    assert [(row.layer, row.median_ms, row.stages) for row in rows] == [
        ("a.conv", 5.0, 2),
        ("(Relu)", 4.0, 1),
        ("a", 1.0, 1),
    ]


def test_too_few_repetitions(copy: RunDirectory) -> None:
    with pytest.raises(RunError, match="asked for 29 timed runs"):
        bench_run(copy.path, repetitions=29)
    assert not (copy.path / "bench.json").exists()
