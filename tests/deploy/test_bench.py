from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.networks import SHAPE, small
from tenfold.core.errors import ExportError
from tenfold.deploy import bench as bench_module
from tenfold.deploy.bench import Contender, bench
from tenfold.deploy.memory import memory_bytes
from tenfold.deploy.timing import Spread, spread_of, times_ms


def test_turns_begin_after_the_warm_up() -> None:
    calls: list[str] = []
    times = times_ms([lambda: calls.append("a"), lambda: calls.append("b")], repetitions=2, warm_up=1)
    assert calls == ["a", "b"] * 3
    assert times.shape == (2, 2)


def test_spread_is_by_column() -> None:
    rows = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]])
    assert spread_of(rows) == [Spread(2.0, (1.5, 2.5), 3), Spread(20.0, (15.0, 25.0), 3)]


def test_every_cell_is_timed_with_its_threads(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    model = small().train()
    model.register_forward_hook(lambda module, *_: seen.append((torch.get_num_threads(), module.training)))
    before = torch.get_num_threads()
    told: list[tuple[int, int]] = []
    found = bench(
        {"one": Contender(model, exported)},
        SHAPE,
        batches=(1, 3),
        threads=(1, 2),
        repetitions=4,
        progress=lambda *what: told.append(what),
    )
    cells = [(row.network, row.runtime, row.batch, row.threads) for row in found]
    assert cells == [
        ("one", runtime, batch, threads)
        for threads in (1, 2)
        for batch in (1, 3)
        for runtime in ("torch", "onnxruntime")
    ]
    assert set(seen) == {(1, False), (2, False)}
    assert model.training
    assert torch.get_num_threads() == before
    assert told == [(n, 4) for n in range(5)]
    assert all(row.spread.median_ms > 0 and row.spread.repetitions == 4 for row in found)
    monkeypatch.setattr(bench_module, "threads_of_all", lambda: 1)  # one core: no cell comes twice
    assert len(bench({"one": Contender(model, exported)}, SHAPE, batches=(1,), repetitions=1)) == 2


def test_memory_is_that_of_the_network(exported: Path) -> None:
    little, much = (memory_bytes(exported, SHAPE, batch=batch) for batch in (1, 20_000))
    assert little is not None
    assert much is not None
    images = 20_000 * 3 * 64 * 4
    assert 0 <= little < 50e6
    assert much - little > images


def test_memory_of_what_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"x")
    with pytest.raises(ExportError, match=r"memory of .*no.onnx"):
        memory_bytes(tmp_path / "no.onnx", SHAPE)
