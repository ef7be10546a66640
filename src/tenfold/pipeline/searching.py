"""Ranks by Bayesian optimisation: a plan is worth what it gives on held-out images, shortly recovered."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from tenfold.compression.fit import Fitted, fit_plan
from tenfold.compression.oneshot import apply_
from tenfold.core.errors import BudgetError, DataError
from tenfold.core.plan import Plan
from tenfold.options import Progress
from tenfold.pipeline.material import Material
from tenfold.pipeline.planning import Ranked
from tenfold.ranks.select import SELECTORS
from tenfold.search.base import Space
from tenfold.search.space import make_space
from tenfold.search.study import Measured, Report, SearchSettings, search, stored
from tenfold.search.tried import Tried, Verdict

__all__ = ["Fitting", "Searched", "best_plan", "check_judges", "search_ranks"]

_FIRST = ("allocation", "evbmf", "energy", "uniform")
_EARLY = 1000  # held-out images that a plan is judged by before its recovery


Fitting = Callable[[Plan], Mapping[str, Fitted]]
"""Fits the chains of a plan."""


@dataclass(frozen=True)
class Searched:
    """What a search knows.

    Attributes:
        space: what is searched.
        sampler: what proposes the trials.
        front: the cost that the loss is weighed against, or None.
        tried: all trials that have ended, by number.
    """

    space: Space
    sampler: str
    front: str | None
    tried: tuple[Tried, ...]


def search_ranks(
    material: Material,
    ranked: Ranked,
    *,
    tell: Progress,
    found: Callable[[Searched], None],
    fit: Fitting | None = None,
    name: str = "ranks",
) -> Searched:
    """Try plans as `material.options.searching` says; where a storage is named, go on with what is there.

    Args:
        material: the network and its images.
        ranked: what ranks are chosen from.
        tell: told what is going on.
        found: given all that is known whenever a trial has ended.
        fit: makes the chains of a trial; None fits the layers in their metric.
        name: of the study, where a storage holds several.

    Returns:
        All that is known at the end.

    Raises:
        DataError: no images are held out to judge by.
        RunError: the storage cannot be used, or trials failed one after another.
    """
    options = material.options
    wanted = options.searching
    check_judges(material)
    space = make_space(
        wanted.space, ranked.table, ranked.limits, ranked.fixed, front=wanted.front is not None
    )
    first = _first_plans(ranked, options.seed)
    with ExitStack() as stack:
        storage = wanted.storage or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "study.db"
        settings = SearchSettings(
            trials=wanted.trials,
            storage=storage,
            name=name,
            sampler=wanted.sampler,
            seed=options.seed,
            front=wanted.front,
            prune=wanted.prune,
            purpose=_purpose(material),
        )
        objective = _Objective(material, fit or _fitting(material, ranked))

        def known() -> Searched:
            tried = tuple(stored(space, settings, first=first))
            return Searched(space, wanted.sampler, wanted.front, tried)

        now = known()
        tell("search", _counted(now.tried), wanted.trials)
        for _ in search(space, objective, settings, first=first):
            now = known()
            tell("search", min(_counted(now.tried), wanted.trials), wanted.trials)
            found(now)
    return now


def check_judges(material: Material) -> None:
    """Refuse a search that nothing can judge.

    Raises:
        DataError: no images are held out.
    """
    if not len(material.held_out):
        raise DataError("ranks are searched by images that are held out, and there are none; set held_out")


def best_plan(searched: Searched) -> Plan:
    """The plan of least loss within the budget."""
    complete = [x for x in searched.tried if x.verdict is Verdict.COMPLETE and x.plan and x.loss is not None]
    return min(complete, key=lambda x: (x.loss, x.number)).plan  # type: ignore[return-value]


def _counted(tried: Sequence[Tried]) -> int:
    """Trials that count towards those that were asked for."""
    return sum(x.verdict is not Verdict.FAILED for x in tried)


def _first_plans(ranked: Ranked, seed: int) -> dict[str, Plan]:
    """What the rules choose, so far as they can; equal plans once."""
    plans: dict[str, Plan] = {}
    for name in _FIRST:
        try:
            plan = SELECTORS[name](ranked.table, ranked.limits, ranked.fixed, layers=ranked.layers, seed=seed)
        except BudgetError:  # a rule that one number drives does not reach every budget
            continue
        if plan not in plans.values():
            plans[name] = plan
    return plans


def _purpose(material: Material) -> str:
    """All that the loss of a plan depends on beside the plan."""
    options = material.options
    settings = (options.metric, options.calibration, options.augmentation, options.recovery, options.seed)
    return f"calibrated loss of {material.digest}, {options.searching.steps} steps of {settings}"


def _fitting(material: Material, ranked: Ranked) -> Fitting:
    """Fits in the metrics of the layers."""
    options = material.options
    return lambda plan: fit_plan(ranked.layers, plan, seed=options.seed, workers=options.workers)


class _Objective:
    """Tries plans; layers that were factorised before are not fitted anew."""

    def __init__(self, material: Material, fit: Fitting) -> None:
        """Nothing is fitted yet."""
        self._material, self._fit = material, fit
        self._fits: dict[tuple[str, object], Fitted] = {}
        self._few = material.held_out.subset(torch.arange(min(_EARLY, len(material.held_out))))

    def __call__(self, plan: Plan, report: Report) -> Measured | None:
        """Held-out cross-entropy after the recovery; None if the plan is hopeless before it.

        At the best temperature: after so few steps plans differ more in how sure they are than in what they
        know, and training goes on to mend the former by itself.
        """
        material = self._material
        made = self._made(plan)
        material.re_estimate(made)
        steps = material.options.searching.steps
        if steps:  # else nothing is left that stopping would save
            if report(material.judged(made, self._few).calibrated, 0):
                return None
            recovery = replace(material.options.recovery, steps=steps)
            for _ in material.recovered(made, recovery):
                pass
            material.re_estimate(made)
        found = material.judged(made, material.held_out)
        return Measured(found.calibrated, found.accuracy)

    def _made(self, plan: Plan) -> nn.Module:
        """The network of the plan's chains."""
        missing = {n: c for n, c in plan.factorised.items() if (n, c) not in self._fits}
        self._fits |= {(name, missing[name]): x for name, x in self._fit(Plan(missing)).items()}
        made = copy.deepcopy(self._material.original)
        apply_(made, {name: self._fits[name, choice] for name, choice in plan.factorised.items()})
        made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return made
