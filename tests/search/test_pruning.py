from __future__ import annotations

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from tenfold.search.pruning import hopeless
from tenfold.search.tried import COSTS


def finished(final: float, early: float | None, params: float = 10.0, state=TrialState.COMPLETE):
    early_values = {} if early is None else {1: early}
    return create_trial(
        value=final if state == TrialState.COMPLETE else None,
        intermediate_values=early_values,
        user_attrs={COSTS: {"params": params}},
        state=state,
    )


# The loss halves after step 1, up to a factor of exp(0.1) or exp(-0.1).
KNOWN = [
    finished(0.5 * early * np.exp(0.1 * (-1) ** n), early)
    for n, early in enumerate((2.0, 2.2, 2.4, 2.6, 2.8, 3.0))
]
BEST = min(t.values[0] for t in KNOWN)
LIMIT = BEST / 0.5 * np.exp(2 * 0.1)  # two standard deviations of luck lead just to the best


def stopped(
    loss: float, trials=KNOWN, *, step: int = 1, params: float = 10.0, front: str | None = None
) -> bool:
    return hopeless(loss, step, {"params": params}, trials, front)


def test_only_what_luck_cannot_make_the_best_is_stopped():
    assert not stopped(0.999 * LIMIT)
    assert stopped(1.001 * LIMIT)


def test_few_trials_stop_nothing():
    assert not stopped(100.0, KNOWN[:4])
    assert not stopped(100.0, step=2)  # nobody reported there
    rest = [
        finished(1.0, None),
        finished(1.0, 2.0, state=TrialState.PRUNED),
        finished(1.0, 2.0, state=TrialState.FAIL),
    ]
    assert not stopped(100.0, [*KNOWN[:4], *rest])


@pytest.mark.parametrize("loss", [float("inf"), float("nan")])
def test_what_is_not_a_number_is_stopped(loss):
    assert stopped(loss)


def test_trials_that_agree_exactly_leave_a_doubt():
    alike = [finished(early / 2, early) for early in (2.0, 2.2, 2.4, 2.6, 2.8)]
    assert not stopped(2.0 * np.exp(0.039), alike)
    assert stopped(2.0 * np.exp(0.041), alike)


def test_on_a_front_only_plans_that_cost_no_more_are_rivals():
    assert stopped(2 * LIMIT, params=10.0, front="params")
    assert not stopped(2 * LIMIT, params=9.0, front="params")
