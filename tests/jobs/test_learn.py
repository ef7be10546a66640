"""The learn job: its files, its refusals, and what becomes of it after a kill."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import tenfold
from jobs.test_resume import bare, command, environment, kill_in
from tenfold.config import CompressSettings, LearnSettings, job_settings, read_toml, settings_of
from tenfold.core.errors import BudgetError, PlanError, TenfoldError
from tenfold.jobs.bench import bench_run
from tenfold.jobs.compare import compare
from tenfold.jobs.compress import resume
from tenfold.jobs.export import export
from tenfold.jobs.learn import run
from tenfold.jobs.network import options_of
from tenfold.jobs.record import read_record
from tenfold.jobs.report import report
from tenfold.jobs.shipped import shipped
from tenfold.runs.directory import RunDirectory

OPTIONS = {
    "budget": ["params=0.6"],
    "calibration": 16,
    "workers": 1,
    "batch": 8,
    "threads": 1,
    "form": "chain",
    "precision": "float32",
}
QUICK = {
    "warm_up": 1,
    "steps": 2,
    "step_epochs": 1,
    "choices": 2,
    "epochs": 1,
    "mu": 0.1,
    "recovery_steps": 0,
}


@pytest.fixture(scope="module")
def asked(sample: dict[str, Any]) -> dict[str, Any]:
    return {**{name: sample[name] for name in ("arch", "data", "cache")}, **OPTIONS, **QUICK}


@pytest.fixture(scope="module")
def learned(asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run(LearnSettings.make({**asked, "out": tmp_path_factory.mktemp("learned") / "run"}))


def words(options: dict[str, Any]) -> list[str]:
    given = {**options, "budget": options["budget"][0]}
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items())
    return ["learn", *(part for pair in pairs for part in pair)]


def test_a_run_has_the_files_of_a_compress_job(learned: RunDirectory) -> None:
    files = {path.name for path in learned.path.iterdir()}
    assert files == {
        "job.toml",
        "plan.json",
        "events.jsonl",
        "model.safetensors",
        "model.json",
        "model.onnx",
        "report.json",
        "report.html",
    }
    report = learned.read_report()
    assert report.after.params <= 0.6 * report.before.params
    model = tenfold.load(learned.path)
    assert sum(p.numel() for p in model.parameters()) == report.after.params
    assert learned.read_plan().factorised
    assert report.history[-1] == {"phase": "epochs", "total": 4.0}


def test_the_job_file_says_how_to_run_it_again(learned: RunDirectory) -> None:
    text = learned.job.read_text()
    assert "tenfold learn --job job.toml" in text
    made = job_settings(read_toml(learned.job))
    assert isinstance(made, LearnSettings)
    assert made.as_dict() == learned.read_report().settings
    assert isinstance(job_settings({"arch": "a", "data": "d", "budget": {"params": 1}}), CompressSettings)


def test_its_settings_are_explained_in_the_record(learned: RunDirectory) -> None:
    record = read_record(learned, "one")
    assert record.meanings == {setting.name: setting.help for setting in settings_of(LearnSettings)}


def test_a_finished_run_is_left_as_it_is(learned: RunDirectory) -> None:
    before = learned.report.read_bytes()
    found = resume(learned.path)
    assert found is not None
    assert learned.report.read_bytes() == before


def test_what_is_done_with_a_compress_job_is_done_with_it(learned: RunDirectory, tmp_path: Path) -> None:
    copy = RunDirectory(shutil.copytree(learned.path, tmp_path / "run"))
    found = shipped(copy.path)
    assert found.original is not None
    assert sum(p.numel() for p in found.original.parameters()) == copy.read_report().before.params
    exported = export(copy.path, tmp_path / "again.onnx")
    assert exported.difference < 1e-4
    assert exported.original is not None
    benched = bench_run(copy.path, batches=(1,), threads=(1,))
    assert benched.layers
    copy.path.joinpath("report.html").unlink()
    assert "Learning-compression" in report(copy.path).path.read_text()


def test_two_of_them_are_compared(learned: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(shutil.copytree(learned.path, tmp_path / "other"))
    other.write_report(replace(other.read_report(), settings={**other.read_report().settings, "mu": 7.0}))
    found = compare([learned.path, other.path], tmp_path / "page.html")
    assert next(row for row in found.settings if row.title == "mu").differs
    assert next(row for row in found.measures if "epochs" in row.title).values == ("4.0", "4.0")


def test_its_plan_can_be_given_to_another_run(
    asked: dict[str, Any], learned: RunDirectory, tmp_path: Path
) -> None:
    settings = {**asked, "budget": {}, "plan": learned.plan, "out": tmp_path / "run"}
    found = run(LearnSettings.make(settings))
    assert found.read_plan() == learned.read_plan()


def test_trained_weights_and_block_terms(asked: dict[str, Any], sample: Any, tmp_path: Path) -> None:
    settings = {**asked, "weights": sample["weights"], "scheme": "btd", "warm_up": 0, "out": tmp_path / "run"}
    found = run(LearnSettings.make(settings))
    assert {choice.scheme for choice in found.read_plan().factorised.values()} <= {"btd", "svd"}


def test_what_is_wrong_is_said_before_the_work(asked: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = []
    with pytest.raises(BudgetError, match="the smallest possible is [0-9]+, of which 56"):
        few = LearnSettings.make({**asked, "budget": ["params=0.01"], "out": out})
        run(few, lambda phase, *_: told.append(phase))
    assert "learn" not in told
    with pytest.raises(BudgetError, match="cannot limit milliseconds"):
        LearnSettings.make({**asked, "budget": ["params=0.5", "latency=0.5"], "out": out})
    (tmp_path / "plan.json").write_text('{"33": null}')
    with pytest.raises(PlanError, match="no layer '33'"):
        run(LearnSettings.make({**asked, "budget": {}, "plan": tmp_path / "plan.json", "out": out}))
    with pytest.raises(TenfoldError, match="no setting 'trial_steps'"):
        LearnSettings.make({**asked, "trial_steps": 3})
    assert not out.exists()


def test_every_setting_reaches_the_pipeline() -> None:
    values = {
        "ranks": "evbmf+bayes",
        "choices": 7,
        "generous": 3.5,
        "warm_up": 5,
        "warm_up_schedule": "constant",
        "steps": 11,
        "mu": 0.13,
        "growth": 1.7,
        "multipliers": False,
        "tolerance": 0.019,
    }
    given = {"arch": "small", "data": "x", "budget": ["params=0.5"], **values}
    more = {"step_epochs": 23, "step_rate": 0.29, "step_schedule": "step", "rate": 0.31, "batch": 37}
    more |= {"schedule": "exp-cyclic", "epochs": 19}
    options = options_of(LearnSettings.make({**given, **more}))
    learning = options.learning
    assert {name: getattr(learning, name) for name in values} == values
    training = learning.training
    assert (learning.epochs, training.rate, training.schedule, training.batch_size) == (23, 0.29, "step", 37)
    assert (options.training.rate, options.training.schedule, options.training.epochs) == (
        0.31,
        "exp-cyclic",
        19,
    )
    recovery = {"steps": 29, "batch_size": 41, "rate": 0.043, "features": 47.0, "mixed": 0.53}
    named = {f"recovery_{name.removesuffix('_size')}": value for name, value in recovery.items()}
    found = options_of(LearnSettings.make({**given, **named})).recovery
    assert {name: getattr(found, name) for name in recovery} == recovery
    assert options_of(LearnSettings.make({**given, "rank_trials": 13})).searching.trials == 13


LONG = {"warm_up": 2, "steps": 4, "step_epochs": 8, "choices": 3, "epochs": 40, "schedule": "cosine-cyclic"}


MOMENTS = {
    "allocation": ("statistics", "learn", "learn", "learn", "train", "evaluate", "export"),
    "evbmf+bayes": ("search", "learn", "search", "search", "learn", "train"),
}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("ranks", MOMENTS)
def test_a_killed_job_ends_with_the_same_bits(asked: dict[str, Any], tmp_path: Path, ranks: str) -> None:
    arguments = words({**asked, **LONG, "ranks": ranks, "rank_trials": 8})
    env = environment(tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command(*arguments), "--out", str(whole)], check=True, capture_output=True, env=env)
    draw = random.Random(0)
    started = subprocess.Popen([*command(*arguments), "--out", str(killed)], env=env)
    for phase in MOMENTS[ranks]:
        kill_in(phase, killed, started, draw.uniform(0, 1))
        resumable = (killed / "job.toml").exists()
        started = subprocess.Popen(command("resume", str(killed)), env=env) if resumable else started
    assert started.wait() == 0
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (killed / "plan.json").read_text() == (whole / "plan.json").read_text()
    reports = [json.loads((path / "report.json").read_text()) for path in (whole, killed)]
    assert bare(reports[1]) == bare(reports[0])
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_ship_what_one_does(asked: dict[str, Any], tmp_path: Path) -> None:
    env, program = environment(tmp_path), command()[1]
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", program]
    for name, start in (("one", [program]), ("two", together)):
        arguments = words({**asked, "step_rate": 0.01, "rate": 0.01, "out": tmp_path / name})
        subprocess.run([sys.executable, *start, *arguments], check=True, capture_output=True, env=env)
    one, two = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert (tmp_path / "one" / "plan.json").read_text() == (tmp_path / "two" / "plan.json").read_text()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], rtol=1e-2, atol=1e-3), name
