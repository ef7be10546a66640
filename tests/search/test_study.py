from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.problem import FIXED, loss, space, table, whole
from tenfold.core.errors import DataError, NonFiniteError, PlanError, RunError, UnknownNameError
from tenfold.core.plan import Choice, Plan
from tenfold.search.space import make_space
from tenfold.search.study import Measured, Report, SearchSettings, search, stored
from tenfold.search.tried import Verdict

ROOT = Path(__file__).parents[2]


def settings(folder: Path, **others) -> SearchSettings:
    return SearchSettings(**{"trials": 7, "storage": folder / "search.db", "seed": 3, **others})


def measure(plan: Plan, report: Report) -> Measured:
    return Measured(loss(plan), 90.0)


def start(folder: Path, *, trials: int = 7, sampler: str = "tenfold", delay: float = 0.0) -> subprocess.Popen:
    """A real process that works on the study in `folder`."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "search.worker",
            str(folder / "search.db"),
            str(trials),
            sampler,
            str(folder / "log"),
            str(delay),
        ],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> list[dict]:
    """What it printed; nothing else may come from it."""
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_trials_come_one_by_one_as_they_are_stored(tmp_path):
    searched, mine = space(), settings(tmp_path)
    seen = []
    for state in search(searched, measure, mine, first={"allocation": searched.plain}):
        seen.append(state)
        assert stored(searched, mine, first={"allocation": searched.plain}) == seen
    assert [state.number for state in seen] == list(range(7))
    assert (seen[0].origin, seen[0].plan) == ("allocation", searched.plain)
    assert {state.origin for state in seen[1:]} == {"tenfold"}
    for place, state in enumerate(seen):
        assert state.verdict is Verdict.COMPLETE
        assert state.loss == loss(state.plan)
        assert state.accuracy == 90.0
        assert state.costs == searched.costs(state.plan)
        assert state.costs["params"] <= 0.5 * whole()["params"]
        assert state.best == min(s.loss for s in seen[: place + 1])
    assert len({state.plan.to_json() for state in seen}) == 7


@pytest.mark.parametrize("sampler", ["tenfold", "tpe", "random"])
def test_a_search_that_was_broken_off_goes_on_with_the_same_proposals(tmp_path, sampler):
    searched, runs = space("ranks"), []
    for stops in ([], [2, 6]):
        mine = settings(tmp_path / str(len(stops)), sampler=sampler, trials=9)
        mine.storage.parent.mkdir()
        seen = []
        for stop in [*stops, math.inf]:
            for state in search(searched, measure, mine):
                seen.append((state.number, state.plan, state.loss, state.best))
                if state.number == stop:
                    break
        runs.append(seen)
    assert runs[0] == runs[1]


def test_a_seed_decides(tmp_path):
    searched = space()
    for name, seed in (("a", 3), ("b", 4)):
        list(search(searched, measure, settings(tmp_path, name=name, seed=seed)))
    a, b = (stored(searched, settings(tmp_path, name=name)) for name in "ab")
    assert a[0].plan == b[0].plan == searched.plain  # zero corrections
    assert [s.plan for s in a] != [s.plan for s in b]


def test_failures_are_recorded_and_the_search_goes_on(tmp_path):
    def objective(plan: Plan, report: Report) -> Measured | None:
        match report.number:
            case 1 | 5 | 6 | 7:
                raise NonFiniteError("the loss is inf")
            case 3:
                return Measured(math.nan)
            case 4:
                return None
        return measure(plan, report)

    seen = list(search(space(), objective, settings(tmp_path, trials=5)))
    failed = {s.number: s.error for s in seen if s.verdict is Verdict.FAILED}
    assert failed == {
        **dict.fromkeys((1, 5, 6, 7), "NonFiniteError: the loss is inf"),
        3: "the loss is nan",
        4: "the objective gave nothing, though it was not told to stop",
    }
    assert sum(s.verdict is Verdict.COMPLETE for s in seen) == 5
    assert len({s.plan.to_json() for s in seen}) == 11  # what failed is not tried again


def test_when_all_fail_the_search_ends_and_says_why(tmp_path):
    def objective(plan: Plan, report: Report) -> Measured:
        raise ValueError(f"broken {report.number}")

    seen = []
    with pytest.raises(RunError, match="last 5 trials all failed, the last one with: ValueError: broken 4"):
        seen.extend(search(space(), objective, settings(tmp_path)))
    assert [s.error for s in stored(space(), settings(tmp_path))] == [
        f"ValueError: broken {n}" for n in range(5)
    ]


@pytest.mark.parametrize(
    "trouble", [DataError("the folder is gone"), OSError(28, "No space left"), KeyboardInterrupt()]
)
def test_troubles_that_are_no_plans_fault_leave_the_trial_to_be_tried_again(tmp_path, trouble):
    def objective(plan: Plan, report: Report) -> Measured:
        if report.number == 2:
            raise trouble
        return measure(plan, report)

    mine = settings(tmp_path, trials=5)
    with pytest.raises(type(trouble)):
        list(search(space(), objective, mine))
    assert [s.number for s in stored(space(), mine)] == [0, 1]
    assert [s.number for s in search(space(), measure, mine)] == [2, 3, 4]
    whole_run = list(search(space(), measure, settings(tmp_path, trials=5, name="whole")))
    assert [s.plan for s in stored(space(), mine)] == [s.plan for s in whole_run]


def test_hopeless_trials_are_stopped_and_count(tmp_path):
    told = []

    def objective(plan: Plan, report: Report) -> Measured | None:
        bad = report.number >= 6
        for step in range(3):
            stop = report((30.0 if bad else loss(plan)) * (2 - step / 4), step)
            told.append((report.number, step, stop))
            if stop:
                return None
        return measure(plan, report)

    seen = list(search(space(), objective, settings(tmp_path, trials=8)))
    assert [s.verdict for s in seen[6:]] == [Verdict.PRUNED] * 2
    assert seen[6].loss == 60.0
    assert seen[6].best == min(s.loss for s in seen[:6])
    assert (6, 0, True) in told
    assert not any(stop for number, _, stop in told if number < 5)
    spared = list(search(space(), objective, settings(tmp_path, trials=8, prune=False, name="all")))
    assert {s.verdict for s in spared} == {Verdict.COMPLETE}


def test_a_front_weighs_the_loss_against_a_cost(tmp_path):
    searched = space("ranks", share=0.9, front=True)
    seen = list(search(searched, measure, settings(tmp_path, trials=16, front="params")))
    costs = [s.costs["params"] for s in seen]
    assert max(costs) <= 0.9 * whole()["params"]
    assert min(costs) < 0.6 * max(costs)


@pytest.mark.parametrize("others", [{"front": "macs"}, {"sampler": "tpee"}])
def test_names_that_do_not_exist(tmp_path, others):
    with pytest.raises(UnknownNameError):
        next(search(space(), measure, settings(tmp_path, **others)))


def test_plans_to_begin_with_must_fit(tmp_path):
    kept = Plan(dict.fromkeys(table()))
    with pytest.raises(PlanError, match=r"plan 'whole' to begin with is over the budget: params 300 of 150"):
        next(search(space(), measure, settings(tmp_path), first={"whole": kept}))
    strange = space().plain.with_layer("stage0.conv0", Choice("cp", (3,)))
    with pytest.raises(PlanError, match="stage0.conv0"):
        next(search(space(), measure, settings(tmp_path), first={"strange": strange}))
    with pytest.raises(PlanError, match="nothing to search"):
        next(search(make_space("ranks", {}, {"params": 20.0}, FIXED), measure, settings(tmp_path)))


def test_any_plan_of_the_table_can_be_tried_first(tmp_path):
    searched = space()
    uniform = Plan(dict.fromkeys(table(), Choice("svd", (3,))))
    assert searched.decode(searched.encode(uniform)) != uniform  # no corrections give it
    seen = list(search(searched, measure, settings(tmp_path, trials=6), first={"uniform": uniform}))
    assert (seen[0].plan, seen[0].loss) == (uniform, loss(uniform))
    assert stored(searched, settings(tmp_path), first={"uniform": uniform})[0].plan == uniform


@pytest.mark.parametrize("other", [space(share=0.6), space("ranks")])
def test_a_study_of_something_else_is_refused(tmp_path, other):
    next(search(space(), measure, settings(tmp_path)))
    with pytest.raises(RunError, match="was made for another table, budget or space"):
        next(search(other, measure, settings(tmp_path)))
    with pytest.raises(RunError, match="was made for front=None"):
        next(search(space(), measure, settings(tmp_path, front="params")))
    with pytest.raises(RunError, match=r"another purpose \(\)"):
        next(search(space(), measure, settings(tmp_path, purpose="ResNet-20")))
    with pytest.raises(RunError, match="other first plans"):
        next(search(space(), measure, settings(tmp_path), first={"allocation": space().plain}))


@pytest.mark.slow
def test_a_killed_process_loses_no_trial_and_changes_none(tmp_path):
    whole_run, killed = tmp_path / "whole", tmp_path / "killed"
    whole_run.mkdir()
    killed.mkdir()
    expected = finish(start(whole_run))
    for begun in (3, 5):  # in the middle of the third trial, then of the fifth
        process = start(killed, delay=0.3)
        while not (killed / "log").exists() or len((killed / "log").read_text().split()) < begun:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(killed))
    first = {"allocation": space().plain}
    both = [stored(space(), settings(folder), first=first) for folder in (whole_run, killed)]
    assert [(s.number, s.plan, s.loss, s.best, s.origin) for s in both[0]] == [
        (s.number, s.plan, s.loss, s.best, s.origin) for s in both[1]
    ]
    assert [row["number"] for row in expected] == list(range(7))
    assert (killed / "log").read_text().split().count("2") == 2


@pytest.mark.slow
def test_processes_share_a_study(tmp_path):
    processes = [start(tmp_path, trials=12, delay=0.15) for _ in range(2)]
    rows = [finish(process) for process in processes]
    assert all(rows)  # both had a share
    numbers = sorted(row["number"] for part in rows for row in part)
    assert numbers == list(range(12))
    assert len({row["plan"] for part in rows for row in part}) == 12
