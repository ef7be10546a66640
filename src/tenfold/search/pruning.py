"""Which trials are hopeless, judged by an early loss."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from tenfold.search.tried import COSTS

__all__ = ["hopeless"]

_LEAST = 5  # complete trials before any is stopped
_SPREADS = 2.0  # standard deviations of the benefit of the doubt
_LEAST_SPREAD = 0.02  # of the logarithm: a few trials may agree by chance


def hopeless(
    loss: float, step: int, costs: dict[str, float], trials: Iterable[FrozenTrial], front: str | None
) -> bool:
    """Whether a trial with this loss at this step will not become the best one.

    From the complete trials it is known by what factor the loss still changes after the step. A trial is
    hopeless if even a factor two standard deviations better than the mean (of the logarithm) leaves it above
    the best loss of those that cost no more. The usual rule, which stops whatever is worse than the median at
    the same step, stops half of a search that only tries good plans.

    Args:
        loss: reported at `step`.
        step: of whatever the objective counts.
        costs: what the plan of the trial ships.
        trials: all of the study.
        front: the cost that the loss is weighed against; None if all plans may cost the same.
    """
    whole = [t for t in trials if t.state == TrialState.COMPLETE]
    known = [t for t in whole if t.intermediate_values.get(step, 0.0) > 0 and t.values[0] > 0]
    if len(known) < _LEAST:
        return False
    if not loss < np.inf:
        return True
    changes = np.log([t.values[0] / t.intermediate_values[step] for t in known])
    lucky = np.log(max(loss, 1e-300)) + changes.mean() - _SPREADS * max(float(changes.std()), _LEAST_SPREAD)
    rivals = [t.values[0] for t in whole if front is None or t.user_attrs[COSTS][front] <= costs[front]]
    return bool(rivals) and bool(lucky > np.log(min(rivals)))
