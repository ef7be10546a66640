"""What came of a trial, read back from where it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from optuna.trial import FrozenTrial, TrialState

from tenfold.core.plan import Plan
from tenfold.search.sampler import PLAN, SpaceSampler

__all__ = ["ACCURACY", "COSTS", "ERROR", "ORIGIN", "SECONDS", "Tried", "Verdict", "read_trials"]

# User attributes of a trial, beside its plan.
ACCURACY, COSTS, ERROR, ORIGIN, SECONDS = "accuracy", "costs", "error", "origin", "seconds"


class Verdict(Enum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Tried:
    """One trial that has ended.

    Attributes:
        number: from 0, over all processes.
        plan: what was tried; None if the trial died before it had one.
        verdict: how it ended.
        loss: what the objective gave, or reported last before it was stopped; None of a failed one.
        accuracy: percent, if the objective gave it.
        costs: what the plan ships, by cost name, exactly.
        best: least loss of the complete trials up to this number; None before the first.
        origin: the name of a first plan, or of the sampler.
        seconds: of the objective.
        error: why it failed; empty otherwise.
    """

    number: int
    plan: Plan | None
    verdict: Verdict
    loss: float | None = None
    accuracy: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    best: float | None = None
    origin: str = ""
    seconds: float | None = None
    error: str = ""


_VERDICTS = {
    TrialState.COMPLETE: Verdict.COMPLETE,
    TrialState.PRUNED: Verdict.PRUNED,
    TrialState.FAIL: Verdict.FAILED,
}


def read_trials(sampler: SpaceSampler, trials: Iterable[FrozenTrial]) -> list[Tried]:
    """The trials that have ended, by number."""
    out: list[Tried] = []
    best: float | None = None
    for trial in sorted(trials, key=lambda t: t.number):
        if trial.state not in _VERDICTS:
            continue
        if trial.state == TrialState.COMPLETE:
            best = trial.values[0] if best is None else min(best, trial.values[0])
        out.append(_read(sampler, trial, best))
    return out


def _read(sampler: SpaceSampler, trial: FrozenTrial, best: float | None) -> Tried:
    """One of them."""
    attributes = trial.user_attrs
    plan = sampler.plan_of(trial) if PLAN in attributes or sampler.named(trial) else None
    return Tried(
        number=trial.number,
        plan=plan,
        verdict=_VERDICTS[trial.state],
        loss=_loss(trial),
        accuracy=attributes.get(ACCURACY),
        costs=attributes.get(COSTS) or (sampler.space.costs(plan) if plan is not None else {}),
        best=best,
        origin=attributes.get(ORIGIN, ""),
        seconds=attributes.get(SECONDS),
        error=attributes.get(ERROR, "" if trial.state != TrialState.FAIL else _DIED),
    )


_DIED = "its process died"


def _loss(trial: FrozenTrial) -> float | None:
    """The final loss, or the last one that was reported."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        return float(trial.intermediate_values[max(trial.intermediate_values)])
    return None
