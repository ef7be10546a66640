from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenfold.config import CompressSettings
from tenfold.core.errors import BudgetError, DataError
from tenfold.core.plan import Plan
from tenfold.jobs.compress import run
from tenfold.jobs.report import report
from tenfold.jobs.search_record import search_text
from tenfold.pipeline import Searched
from tenfold.reporting.search import read_search
from tenfold.runs.directory import RunDirectory

TRIALS = 9


@pytest.fixture(scope="module")
def searched(sample: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    settings = {
        **sample,
        "selector": "bayes",
        "until": "plan",
        "trials": TRIALS,
        "trial_steps": 2,
        "prune": False,
    }
    done = run(CompressSettings.make({**settings, "out": tmp_path_factory.mktemp("searches") / "one"}))
    assert done is not None
    return done


def test_leaves_the_plan_and_what_was_tried(searched: RunDirectory) -> None:
    names = {path.name for path in searched.path.iterdir()}
    assert names == {"job.toml", "plan.json", "events.jsonl", "study.db", "search.json", "report.html"}


def test_the_plan_is_that_of_least_loss(searched: RunDirectory) -> None:
    trials = json.loads(searched.search.read_text())["trials"]
    assert [trial["number"] for trial in trials] == list(range(TRIALS))
    best = min(trials, key=lambda trial: trial["loss"])
    plan = searched.read_plan()
    assert {name: plan[name] for name in best["plan"]} == dict(Plan.from_json(json.dumps(best["plan"])))
    assert trials[-1]["best"] == best["loss"]


def test_the_rules_come_first_and_all_meet_the_budget(searched: RunDirectory) -> None:
    trials = json.loads(searched.search.read_text())["trials"]
    origins = [trial["origin"] for trial in trials]
    assert origins[0] == "allocation"
    assert set(origins[1:]) <= {"evbmf", "energy", "uniform", "tenfold"}
    assert origins[-1] == "tenfold"
    assert all(trial["costs"]["params"] <= 0.6 * 2171 for trial in trials)
    assert all(0 <= trial["accuracy"] <= 100 for trial in trials)


def test_the_page_shows_the_search(searched: RunDirectory) -> None:
    found = read_search(searched.search.read_text())
    assert found.ended("complete") == TRIALS
    assert found.slice is not None
    assert sum(found.importance.values()) == pytest.approx(1)
    page = (searched.path / "report.html").read_text()
    assert "search-trace" in page
    assert "not finished" not in page
    assert report(searched.path).record.planned


def test_the_plan_is_what_compress_takes(
    sample: dict[str, Any], searched: RunDirectory, tmp_path: Path
) -> None:
    settings = CompressSettings.make({**sample, "budget": {}, "plan": searched.plan, "out": tmp_path / "run"})
    done = run(settings)
    assert done is not None
    assert done.read_plan() == searched.read_plan()
    assert done.read_report().after.params <= 0.6 * 2171


def test_a_front_goes_down_from_the_budget(sample: dict[str, Any], tmp_path: Path) -> None:
    settings = {
        **sample,
        "selector": "bayes",
        "until": "plan",
        "trials": 8,
        "trial_steps": 0,
        "front": "params",
    }
    done = run(CompressSettings.make({**settings, "out": tmp_path / "front"}))
    assert done is not None
    content = json.loads(done.search.read_text())
    front = [(row["costs"]["params"], row["loss"]) for row in content["front"]]
    assert front == sorted(front)
    assert [loss for _, loss in front] == sorted((loss for _, loss in front), reverse=True)
    assert min(row["costs"]["params"] for row in content["trials"]) < 0.5 * 2171


def test_two_jobs_share_a_study(sample: dict[str, Any], tmp_path: Path) -> None:
    common = {
        **sample,
        "selector": "bayes",
        "until": "plan",
        "trial_steps": 0,
        "storage": str(tmp_path / "s.db"),
    }
    plans = []
    for number, trials in enumerate((5, 7)):
        settings = CompressSettings.make({**common, "trials": trials, "out": tmp_path / str(number)})
        done = run(settings)
        assert done is not None
        plans.append(json.loads(done.search.read_text())["trials"])
    assert plans[1][:5] == plans[0]
    assert len(plans[1]) == 7
    assert not (tmp_path / "1" / "study.db").exists()


def test_what_a_search_cannot_be_made_of_is_refused(sample: dict[str, Any], tmp_path: Path) -> None:
    settings = {**sample, "selector": "bayes", "out": tmp_path / "run"}
    with pytest.raises(DataError, match="none; set held_out"):
        run(CompressSettings.make({**settings, "held_out": 0}))
    with pytest.raises(BudgetError, match="front macs: the budget does not limit it"):
        CompressSettings.make({**settings, "front": "macs"})
    assert not (tmp_path / "run").exists()


def test_a_method_sets_what_is_not_asked_for(sample: dict[str, Any]) -> None:
    given = {name: sample[name] for name in ("arch", "data", "weights", "budget")}
    settings = CompressSettings.make({**given, "method": "btd-bayes", "epochs": 2})
    assert (settings.scheme, settings.selector, settings.schedule) == ("btd", "bayes", "cosine-cyclic")
    assert settings.epochs == 2
    assert CompressSettings.make(given).selector == "allocation"


def test_a_model_of_few_trials_is_not_shown(searched: RunDirectory) -> None:
    del searched
    empty = Searched(space=_Kind(), sampler="tenfold", front=None, tried=())  # type: ignore[arg-type]
    assert read_search(search_text(empty)).slice is None


class _Kind:
    kind = "corrections"
