from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deploy.networks import SHAPE, small
from tenfold.core.shapes import ConvSpec, Stage
from tenfold.deploy import clock as clock_module
from tenfold.deploy.clock import MachineClock
from tenfold.deploy.layer_graph import layer_graph, random_weights
from tenfold.deploy.runtime import session
from tenfold.deploy.timing import Spread
from tenfold.layers.chain import build_chain

SPEC = ConvSpec(16, 16, (3, 3), padding=(1, 1), bias=True)
WHOLE = (Stage(16, 16, (3, 3)),)
CHAIN = (Stage(4, 16), Stage(4, 4, (3, 3)), Stage(16, 4))

SPECS = [
    (ConvSpec(6, 4, (3, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=True), (9, 11)),
    (ConvSpec(6, 4, (3, 5), padding="same"), (7, 8)),
    (ConvSpec(6, 4, (3, 3), padding="valid", bias=True), (7, 8)),
    (ConvSpec(6, 4, linear=True, bias=True), (1, 5)),
]


@pytest.mark.parametrize(("spec", "size"), SPECS)
@pytest.mark.parametrize("stages", [1, 2])
def test_graph_computes_the_chain(spec: ConvSpec, size: tuple[int, int], stages: int) -> None:
    chain = (Stage(2, 4), Stage(6, 2, spec.kernel)) if stages == 2 else (Stage(6, 4, spec.kernel),)
    shape = (size[1], 4) if spec.linear else (1, 4, *size)
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weights = tuple(map(torch.from_numpy, random_weights(chain)))
    expected = build_chain(spec, chain, weights, torch.zeros(6) if spec.bias else None)(images)
    (met,) = session(layer_graph(spec, chain, size), threads=1).run(None, {"image": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(met), expected, rtol=1e-5, atol=1e-5)


class Machine:
    """Times as a machine at a certain pace would give them: a millisecond for each stage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pace, self.timed = 1.0, list[tuple[int, ...]]()
        monkeypatch.setattr(MachineClock, "_layer_call", lambda _self, _spec, _size, chain: chain)
        monkeypatch.setattr(clock_module, "times_ms", self.times)

    def times(self, calls: list[tuple[Stage, ...]], repetitions: int, **_: int) -> np.ndarray:
        if repetitions > 3:
            self.timed.append(tuple(len(call) for call in calls))
        return np.full((repetitions, len(calls)), [float(len(call)) for call in calls]) * self.pace


def test_times_are_kept_and_new_ones_brought_to_their_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch)
    assert MachineClock(cache=tmp_path)(SPEC, (8, 8), [WHOLE, CHAIN]) == [1.0, 3.0]
    assert machine.timed == [(1, 3)]
    machine.pace = 5.0
    again = MachineClock(cache=tmp_path)
    assert again(SPEC, (8, 8), [CHAIN, WHOLE]) == [3.0, 1.0]
    assert machine.timed == [(1, 3)]
    assert again(SPEC, (8, 8), [CHAIN, CHAIN[:2]]) == [3.0, 2.0]
    assert machine.timed == [(1, 3), (1, 2)]
    assert again(SPEC, (4, 4), [WHOLE]) == [5.0]
    for other in (MachineClock(threads=2, cache=tmp_path), MachineClock("torch", cache=tmp_path)):
        assert other(SPEC, (8, 8), [WHOLE]) == [5.0]


def test_a_broken_cache_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch)
    MachineClock(cache=tmp_path)(SPEC, (8, 8), [WHOLE])
    (file,) = tmp_path.iterdir()
    for text in ("{", "[]", '{"x": "y"}'):
        file.write_text(text)
        assert MachineClock(cache=tmp_path)(SPEC, (8, 8), [WHOLE]) == [1.0]
    (tmp_path / "file").write_text("")
    assert MachineClock(cache=tmp_path / "file")(SPEC, (8, 8), [WHOLE]) == [1.0]


def test_large_chains_are_timed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    monkeypatch.setattr(clock_module, "_CHUNK", 4 * (16 * 4 * 2 + 9 * 16))
    assert MachineClock()(SPEC, (8, 8), [CHAIN, CHAIN[:2], CHAIN[1:]]) == [3.0, 2.0, 2.0]
    assert machine.timed == [(1, 3), (1, 2), (1, 2)]


@pytest.mark.parametrize("target", ["onnxruntime", "torch"])
def test_more_work_takes_longer(target: str) -> None:
    wide = ConvSpec(64, 64, (3, 3), padding=(1, 1))
    clock = MachineClock(target)
    dense, chain = clock(wide, (32, 32), [(Stage(64, 64, (3, 3)),), (Stage(8, 64), Stage(64, 8, (3, 3)))])
    assert dense > 1.5 * chain > 0  # 4.5 times the work
    before = torch.get_num_threads()
    found = clock.compared({"small": small(), "same": small()}, SHAPE)
    assert torch.get_num_threads() == before
    assert list(found) == ["small", "same"]
    assert all(spread.median_ms > 0 for spread in found.values())


def test_networks_are_known_by_their_layers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = MachineClock(cache=tmp_path)
    first = clock.network_ms(small(), SHAPE)
    monkeypatch.setattr(MachineClock, "compared", None)
    assert MachineClock(cache=tmp_path).network_ms(small(), SHAPE) == first
    with pytest.raises(TypeError):
        clock.network_ms(nn.Sequential(nn.Conv2d(3, 4, 3)), SHAPE)


def test_two_networks_are_timed_in_turns_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def compared(_: object, models: dict[str, nn.Module], __: object) -> dict[str, Spread]:
        asked.append(list(models))
        return {"made": Spread(3.0, (3.0, 3.0), 1), "model": Spread(4.0, (4.0, 4.0), 1)}

    monkeypatch.setattr(MachineClock, "compared", compared)
    for _ in range(2):
        assert MachineClock(cache=tmp_path).both(nn.Sequential(nn.Conv2d(3, 4, 1)), small(), SHAPE) == (
            3.0,
            4.0,
        )
    assert asked == [["made", "model"]]
