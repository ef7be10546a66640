from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tenfold.config import CompressSettings
from tenfold.core.errors import BudgetError
from tenfold.core.report import LatencyReport, Report
from tenfold.deploy.clock import MachineClock
from tenfold.jobs.compress import run

LAYER = 4.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a layer takes four milliseconds, a chain one for each stage, all the rest two."""

    def times(_self: object, _spec: object, _size: object, chains: list[tuple[object, ...]]) -> list[float]:
        return [LAYER if len(chain) == 1 else float(len(chain)) for chain in chains]

    monkeypatch.setattr(MachineClock, "__call__", times)
    networks(monkeypatch)


def networks(
    monkeypatch: pytest.MonkeyPatch,
    *,
    first: float = 1.0,
    pace: float = 1.0,
    stage: float = 1.0,
    rest: float = 2.0,
) -> None:
    """Whole networks take `pace` times what their parts and `rest` take; each stage of a chain takes `stage`.

    The original took `first` times that when it was timed first, and alone.
    """

    def taken(model: nn.Module) -> float:
        chains = [stage * len(part) for part in model.children() if isinstance(part, nn.Sequential)]
        kept = [LAYER for part in model.children() if isinstance(part, nn.Conv2d | nn.Linear)]
        return pace * (rest + sum(chains) + sum(kept))

    monkeypatch.setattr(MachineClock, "network_ms", lambda _, model, __: first * taken(model))
    monkeypatch.setattr(MachineClock, "both", lambda _, made, model, __: (taken(made), taken(model)))


def predicted(report: Report) -> float:
    """Of the original's time."""
    assert report.latency is not None
    return report.latency.predicted_ms / report.latency.original_ms


def test_a_job_keeps_its_budget_on_latency(clock: None, sample: dict[str, object], tmp_path: Path) -> None:
    settings = {**sample, "budget": ["latency=0.9", "params=0.9"], "latency_threads": 2}
    made = CompressSettings.make({**settings, "out": tmp_path / "run"})
    assert made.budget == {"latency_ms": 0.9, "params": 0.9}
    done = run(made)
    assert done is not None
    report = done.read_report()
    assert report.latency is not None
    assert (report.latency.target, report.latency.threads) == ("onnxruntime", 2)
    # 14 ms, of which a chain of two saves 2
    assert predicted(report) in (pytest.approx(12 / 14), pytest.approx(10 / 14))
    assert report.latency.measured_ms > 0
    assert report.after.params <= 0.9 * report.before.params
    assert "Budget on latency in onnxruntime, 2 threads" in (done.path / "report.html").read_text()


def test_layers_that_take_longer_alone_than_the_whole_network_are_faster_in_it(
    clock: None, sample: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks(monkeypatch, pace=0.5, rest=0.0)  # its three layers alone: 12
    settings = {**sample, "budget": ["latency=0.9", "params=0.9"], "out": tmp_path / "run"}
    done = run(CompressSettings.make(settings))
    assert done is not None
    # 6 ms: a chain of two saves 1 of 2, and nothing lies beside
    assert predicted(done.read_report()) in (pytest.approx(5 / 6), pytest.approx(4 / 6))


def test_chains_are_predicted_as_they_are_in_a_network_of_the_chosen_ranks(
    clock: None, sample: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks(monkeypatch, stage=0.5)
    settings = {**sample, "budget": ["latency=0.9", "params=0.9"], "out": tmp_path / "run"}
    done = run(CompressSettings.make(settings))
    assert done is not None
    # of 14 ms; a chain of two, alone 2, saves 3 of 4
    assert predicted(done.read_report()) in (pytest.approx(11 / 14), pytest.approx(8 / 14))


def test_a_machine_that_was_slower_at_first_predicts_alike(
    clock: None, sample: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks(monkeypatch, first=2.0, stage=0.5)
    settings = {**sample, "budget": ["latency=0.9", "params=0.9"], "out": tmp_path / "run"}
    done = run(CompressSettings.make(settings))
    assert done is not None
    assert predicted(done.read_report()) in (pytest.approx(11 / 14), pytest.approx(8 / 14))


def test_a_budget_on_latency_that_cannot_be_met(
    clock: None, sample: dict[str, object], tmp_path: Path
) -> None:
    settings = CompressSettings.make({**sample, "budget": {"latency": 0.3}, "out": tmp_path / "run"})
    with pytest.raises(
        BudgetError, match=r"latency_ms <= 4.200: the smallest possible is 10, of which 2 lie"
    ):
        run(settings)
    assert not (tmp_path / "run").exists()


def test_latency_goes_to_json_and_back() -> None:
    from tenfold.core.report import Measures

    found = LatencyReport("torch", 1, 1.0, 1.25, 2.0)
    report = Report(Measures(1, 1), Measures(1, 1), latency=found)
    assert Report.from_json(report.to_json()).latency == found
    assert found.sentence == (
        "latency in torch, 1 thread: predicted 1.000 ms, measured 1.250 ms (prediction -20.0 %), "
        "original 2.000 ms"
    )
