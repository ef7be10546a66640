from __future__ import annotations

import time
import warnings
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from search.problem import loss, space
from tenfold.core.errors import UnknownNameError
from tenfold.search import sampler as sampler_module
from tenfold.search.quiet import quiet
from tenfold.search.sampler import distributions, make_sampler, observed_of, sampler_names


def study(sampler, objectives: int = 1) -> optuna.Study:
    with quiet():
        return optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)


def ask(made: optuna.Study, searched):
    with quiet():
        return made.ask(distributions(searched))


def point(searched, trial) -> np.ndarray:
    return np.array([trial.params[d.name] for d in searched.dimensions], dtype=float)


def test_names():
    assert sampler_names() == ("tenfold", "gp", "tpe", "nsga2", "random")
    with pytest.raises(UnknownNameError, match="tpe"):
        make_sampler("tpee", space())


@pytest.mark.parametrize("kind", ["corrections", "ranks"])
@pytest.mark.parametrize("front", [None, "params"])
@pytest.mark.parametrize("name", sampler_names())
def test_every_sampler_serves_every_space_by_optunas_own_protocol(kind, front, name):
    searched = space(kind, front=front is not None)
    made = study(
        make_sampler(name, searched, seed=1, first=[searched.plain], front=front), 1 if front is None else 2
    )
    points = set()
    for number in range(12):  # beyond the ten that Optuna's begin with
        trial = ask(made, searched)
        points.add(tuple(point(searched, trial)))
        plan = searched.decode(point(searched, trial))
        assert searched.fits(plan)
        assert (plan == searched.plain) or number
        values = [loss(plan)] if front is None else [loss(plan), searched.costs(plan)["params"]]
        made.tell(trial, values)
    assert len(points) == 12


@pytest.mark.parametrize("name", sampler_names())
def test_a_new_sampler_goes_on_where_another_one_stopped(name):
    searched = space()
    one, other = study(make_sampler(name, searched, seed=1)), study(make_sampler(name, searched, seed=1))
    for number in range(12):
        if number == 11:
            other.sampler = make_sampler(name, searched, seed=1)
        points = []
        for made in (one, other):
            trial = ask(made, searched)
            points.append(point(searched, trial))
            made.tell(trial, loss(searched.decode(points[-1])))
        np.testing.assert_array_equal(*points)


def test_it_serves_optunas_own_loop():
    searched = space("ranks")

    def objective(trial: optuna.Trial) -> float:
        return loss(
            searched.decode(np.array([trial.suggest_int(d.name, d.low, d.high) for d in searched.dimensions]))
        )

    made = study(make_sampler("tenfold", searched))
    with quiet():
        made.optimize(objective, n_trials=8)
    assert made.best_value < loss(searched.plain)


def test_stopped_trials_are_told_by_what_the_others_did_after_the_same_step():
    searched = space("ranks")
    sampler = make_sampler("tenfold", searched)
    made = study(sampler)
    for values, final in (((4.0, 2.0), 1.0), ((8.0, 3.0), 1.5), ((6.0,), None), ((), None)):
        trial = ask(made, searched)
        for step, value in enumerate(values):
            trial.report(value, step)
        made.tell(trial, final, state=None if final else TrialState.PRUNED)
    # 1/4 and 1.5/8 of the value after the first step; the one that reported nothing is unknown.
    assert [o.loss for o in observed_of(sampler, made.trials)] == [
        1.0,
        1.5,
        pytest.approx(6 * (1 / 4 + 1.5 / 8) / 2),
    ]


def test_silence_lasts_as_long_as_it_is_asked_for(caplog):
    logger = optuna.logging.get_logger("optuna")
    level = logger.level
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn("x", optuna.exceptions.ExperimentalWarning, stacklevel=1)
            warnings.warn("other", UserWarning, stacklevel=1)
        warnings.warn("y", optuna.exceptions.ExperimentalWarning, stacklevel=1)
    assert [str(w.message) for w in met] == ["other", "y"]
    assert logger.level == level


def test_the_proposer_is_told_what_runs_and_what_may_not_come_again(monkeypatch):
    searched = space("ranks")
    sampler = make_sampler("tenfold", searched, seed=5)
    made, plans, told = study(sampler), [], {}
    for final in (2.0, None, TrialState.FAIL):
        trial = ask(made, searched)
        plans.append(searched.decode(point(searched, trial)))
        if final is TrialState.FAIL:
            made.tell(trial, state=final)
        elif final:
            made.tell(trial, final)

    def spy(_, observed, **others):
        told.update(others, observed=observed)
        return searched.encode(searched.plain)

    monkeypatch.setattr(sampler_module, "propose", spy)
    ask(made, searched)
    assert [(o.plan, o.loss) for o in told["observed"]] == [(plans[0], 2.0)]
    assert told["pending"] == [plans[1]]
    assert told["taken"] == plans
    # Of the seed and the number of the trial, and of nothing else.
    assert told["rng"].random() == np.random.default_rng([5, 3]).random()


@pytest.mark.parametrize("dead", [False, True])
def test_a_proposal_waits_for_that_of_an_earlier_trial_unless_it_never_comes(monkeypatch, dead):
    """Another process has begun trial 0; it proposes while this one waits, or has died."""
    searched, waits, told = space("ranks"), [], {}
    made = study(make_sampler("tenfold", searched))
    storage, theirs = made._storage, made._storage.create_new_trial(made._study_id)
    monkeypatch.setattr(sampler_module, "_PATIENCE", 0.3 if dead else 60.0)

    def wait(seconds):
        waits.append(seconds)
        if dead:
            time.sleep(seconds)
        elif len(waits) == 2:
            point = dict(zip(distributions(searched), searched.encode(searched.plain), strict=True))
            for name, kind in distributions(searched).items():
                storage.set_trial_param(theirs, name, int(point[name]), kind)

    def spy(_, observed, **others):
        told.update(others)
        return searched.encode(searched.plain)

    monkeypatch.setattr(sampler_module, "time", SimpleNamespace(monotonic=time.monotonic, sleep=wait))
    monkeypatch.setattr(sampler_module, "propose", spy)
    ask(made, searched)
    assert told["pending"] == ([] if dead else [searched.plain])
    assert sum(waits) >= 0.2 if dead else len(waits) == 2
