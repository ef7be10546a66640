from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.config import CompressSettings, read_toml
from tenfold.core.errors import RunError
from tenfold.data import load_data
from tenfold.jobs import demo as job
from tenfold.jobs.demo import demo
from tenfold.jobs.network import network_of
from tenfold.train.evaluate import evaluate
from tenfold.train.supervised import Training


def test_taken_name_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="it exists"):
        demo(tmp_path / "run", progress=lambda *_: pytest.fail("began to work"))


def test_run_keeps_the_trained_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_TRAINING", Training(epochs=1, batch_size=64, rate=0.1))
    quick = {"scheme": "svd", "metric": "plain", "recovery_steps": 2, "epochs": 0, "workers": 1}
    monkeypatch.setattr(job, "_SETTINGS", {**job._SETTINGS, **quick})
    run = demo(tmp_path / "run", seed=3)
    settings = CompressSettings.make(read_toml(run.job))
    assert settings.seed == 3
    assert settings.weights == run.path / "original.safetensors"
    data = load_data("digits")
    original = network_of(settings, classes=10, channels=1)
    report = run.read_report()
    assert evaluate(original, data.test, data.preprocessing).accuracy == report.before.accuracy
    assert report.after.params <= 0.2 * report.before.params


@pytest.mark.slow
@pytest.mark.long
def test_reaches_98_percent_and_keeps_them_at_a_fifth(tmp_path: Path) -> None:
    report = demo(tmp_path / "run").read_report()
    assert report.before.accuracy is not None
    assert report.after.accuracy is not None
    assert report.before.accuracy >= 98
    assert report.after.accuracy >= report.before.accuracy - 1
    assert report.after.params <= 0.2 * report.before.params
    assert report.after.size_bytes is not None
    assert report.before.size_bytes is not None
    assert report.after.size_bytes < 0.25 * report.before.size_bytes  # ONNX adds names, a few kB
