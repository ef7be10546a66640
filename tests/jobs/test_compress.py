from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import tenfold
from job_samples import CLASSES, SHAPE, tiny
from tenfold.config import CompressSettings, read_toml
from tenfold.core.errors import (
    BudgetError,
    InterruptedRunError,
    ParityError,
    PlanError,
    RankError,
    RunError,
    ShapeError,
    UnknownNameError,
)
from tenfold.deploy.verify import parity
from tenfold.jobs import compress as job
from tenfold.jobs import delivery
from tenfold.jobs.compress import run
from tenfold.runs.directory import RunDirectory


def test_leaves_the_files_of_a_run_and_nothing_else(finished: RunDirectory) -> None:
    names = {path.name for path in finished.path.iterdir()}
    assert names == {
        "job.toml",
        "plan.json",
        "events.jsonl",
        "model.safetensors",
        "model.json",
        "model.onnx",
        "report.json",
        "report.html",
    }
    assert [path.name for path in finished.path.parent.iterdir()] == ["first"]


def test_report_holds_what_others_read(finished: RunDirectory) -> None:
    report = json.loads(finished.report.read_text())
    assert {"before", "after", "settings", "layers", "seconds", "versions"} <= set(report)
    for side in ("before", "after"):
        assert set(report[side]) == {"accuracy", "params", "macs", "size_bytes", "latency_ms"}
        assert 0 <= report[side]["accuracy"] <= 100
        assert 0 < report[side]["latency_ms"] < 1000
    # before: 12*27 + 12 + 2*12, 16*108 + 2*16, 16*3 + 3; macs at 12x12
    assert report["before"]["params"] == 360 + 1760 + 51
    assert report["before"]["macs"] == 144 * (12 * 27 + 16 * 108) + 48
    assert report["after"]["params"] <= 0.6 * report["before"]["params"]
    assert report["after"]["size_bytes"] == finished.onnx.stat().st_size
    assert report["after"]["size_bytes"] < report["before"]["size_bytes"]
    assert report["seconds"]["export"] > 0
    assert report["settings"]["scheme"] == "svd"


def test_job_file_has_every_setting_and_runs_again(finished: RunDirectory, tmp_path: Path) -> None:
    settings = CompressSettings.make(read_toml(finished.job))
    assert settings.as_dict() == finished.read_report().settings
    assert (settings.channels, settings.padding, settings.flip) == (3, 1, True)
    assert settings.mean == (0.485, 0.456, 0.406)
    edited = finished.read_plan().with_layer("0", None)
    (tmp_path / "plan.json").write_text(edited.to_json())
    again = run(settings.with_values(out=tmp_path / "again", budget={}, plan=tmp_path / "plan.json"))
    assert again.read_plan() == edited
    assert isinstance(tenfold.load(again.path).get_submodule("0"), nn.Conv2d)


def test_network_loads_and_answers_like_the_onnx_file(finished: RunDirectory) -> None:
    model = tenfold.load(finished.path)
    report = finished.read_report()
    assert sum(p.numel() for p in model.parameters()) == report.after.params
    parity(model, finished.onnx, torch.rand(5, *SHAPE))
    # dynamic batch, and no path of this machine in it
    assert str(Path(job.__file__).parent) not in onnx.load(finished.onnx).SerializeToString().decode("latin1")


def test_metadata_is_what_a_user_of_the_network_needs(finished: RunDirectory) -> None:
    metadata = json.loads(finished.model.read_text())["metadata"]
    assert metadata["classes"] == list(CLASSES)
    assert metadata["input"] == list(SHAPE)
    assert metadata["mean"] == [0.485, 0.456, 0.406]
    assert metadata["std"] == [0.229, 0.224, 0.225]


def test_events_tell_the_phases_in_order(finished: RunDirectory, told: list[tuple[str, int, int]]) -> None:
    phases = list(dict.fromkeys(event["phase"] for event in finished.events() if "done" in event))
    assert phases == list(dict.fromkeys(phase for phase, _, _ in told))
    assert phases[0] == "load"
    assert {"candidates", "recover", "evaluate", "export"} <= set(phases)
    assert [event["done"] for event in finished.events() if event["phase"] == "recover"][-1] == 3


def test_events_hold_what_the_history_holds(finished: RunDirectory) -> None:
    rows = [dict(event) for event in finished.events() if "done" not in event]
    assert {row["phase"] for row in rows} >= {"one shot", "recovery", "recovered"}
    history = finished.read_report().history
    for row in rows:
        del row["time"]
        assert row in history


@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        ('{"33": null}', PlanError, "no layer '33' in this network; the nearest is 3"),
        ('{"3": {"scheme": "tuker", "rank": [2, 2]}}', UnknownNameError, "the nearest are tucker, tt-tucker"),
        ('{"3": {"scheme": "svd", "rank": [999]}}', RankError, r"3: svd rank \(999,\)"),
        ("{", PlanError, "the plan is no JSON"),
    ],
)
def test_plan_is_checked_before_the_work(
    sample: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plan: str,
    error: type[Exception],
    message: str,
) -> None:
    (tmp_path / "plan.json").write_text(plan)
    monkeypatch.setattr(job, "compress", None)
    monkeypatch.setattr(delivery, "export_onnx", None)
    settings = {**sample, "budget": {}, "plan": tmp_path / "plan.json", "out": tmp_path / "run"}
    with pytest.raises(error, match=message):
        run(CompressSettings.make(settings))
    assert not (tmp_path / "run").exists()


def test_existing_run_is_refused_before_anything_is_read(sample: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="it exists; choose another --out"):
        run(CompressSettings.make({**sample, "data": "/nowhere", "out": tmp_path / "run"}))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_impossible_budget_names_the_kept_layers(sample: dict[str, object], tmp_path: Path) -> None:
    settings = {
        **sample,
        "arch": "job_samples:depthwise",
        "weights": None,
        "budget": {"params": 0.1},
        "out": tmp_path / "a" / "run",
    }
    with pytest.raises(BudgetError, match=r"smallest possible is [\d,]+.*kept layers: 1 with 8,320 params"):
        run(CompressSettings.make(settings))
    assert list(tmp_path.iterdir()) == []


def test_interrupted_before_the_fits_leaves_nothing(sample: dict[str, object], tmp_path: Path) -> None:
    def interrupt(phase: str, *_: int) -> None:
        if phase == "fit":
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run(CompressSettings.make({**sample, "out": tmp_path / "a" / "run"}), interrupt)
    assert list(tmp_path.iterdir()) == []


def test_network_for_other_classes_is_refused(sample: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "five_classes.py").write_text(
        "import job_samples\ndef net(channels):\n    return job_samples.tiny(5, channels)\n"
    )
    settings = {**sample, "arch": "five_classes:net", "weights": None, "out": tmp_path / "run"}
    with pytest.raises(ShapeError, match=r"with \(1, 5\), the data needs logits of shape \(1, 3\)"):
        run(CompressSettings.make(settings))


def test_network_that_loads_as_another_one_is_no_run(
    sample: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "load", lambda _: tiny(3, 3).eval())
    with pytest.raises(ParityError, match="should answer like the network"):
        run(CompressSettings.make({**sample, "out": tmp_path / "run"}))
    assert not (tmp_path / "run" / "report.json").exists()


def test_half_precision_network_is_exported_in_single(tmp_path: Path, sample: dict[str, object]) -> None:
    (tmp_path / "half_net.py").write_text(
        "import job_samples\ndef net(classes, channels):\n"
        "    return job_samples.tiny(classes, channels).bfloat16()\n"
    )
    settings = {**sample, "arch": "half_net:net", "weights": None, "out": tmp_path / "run"}
    done = run(CompressSettings.make(settings))
    assert {p.dtype for p in tenfold.load(done.path).parameters()} == {torch.bfloat16}
    assert done.read_report().after.size_bytes == done.onnx.stat().st_size


def test_default_run_directory_is_the_first_free_one(
    sample: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "compress_network", lambda *_: None)
    made = [run(CompressSettings.make(sample)).path for _ in range(2)]
    assert made == [Path("runs/job_samples-tiny"), Path("runs/job_samples-tiny-2")]
    assert all((tmp_path / path / "events.jsonl").is_file() for path in made)


def test_the_network_given_is_not_changed() -> None:
    model = tiny(3, 3)
    assert delivery._exportable(model) is model
    half = tiny(3, 3).half()
    assert delivery._exportable(half) is not half
    assert half[0].weight.dtype == torch.float16


def test_layers_that_were_asked_for_are_kept(sample: dict[str, object], tmp_path: Path) -> None:
    settings = {**sample, "budget": {"params": 0.9}, "keep": "0, 8*", "out": tmp_path / "run"}
    made = run(CompressSettings.make(settings))
    assert made is not None
    reasons = {row.name: row.reason for row in made.read_report().layers}
    assert (reasons["0"], reasons["8"]) == ("kept: asked for by keep 0", "kept: asked for by keep 8*")
    assert [*made.read_plan().factorised] == ["3"]
    assert read_toml(made.job)["keep"] == ["0", "8*"]


def test_a_layer_to_keep_that_is_not_there(sample: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="keep 'stem': no layer of this network is called so; known are 0, "):
        run(CompressSettings.make({**sample, "keep": "stem", "out": tmp_path / "run"}))
    assert not (tmp_path / "run").exists()
