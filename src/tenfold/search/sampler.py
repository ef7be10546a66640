"""The samplers of a study: tenfold's own, and Optuna's, each a pure function of the seed and what is stored.

Optuna's samplers hold a random generator that a killed process takes with it. Here each trial gets a fresh
sampler, seeded by the study's seed and the trial's number, so that a study that was killed goes on as if
it had not been.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from tenfold.core.errors import UnknownNameError
from tenfold.core.plan import Plan
from tenfold.search.base import Space
from tenfold.search.propose import Observed, propose
from tenfold.search.quiet import quiet

__all__ = [
    "PLAN",
    "SpaceSampler",
    "TenfoldSampler",
    "distributions",
    "make_sampler",
    "observed_of",
    "sampler_names",
]

_WAIT = 0.05  # seconds between two looks at what other processes propose
_PATIENCE = 10.0  # seconds that they are waited for at most: one that died never proposes

PLAN = "plan"
"""User attribute of a trial: the plan that is tried, as JSON."""

Array = NDArray[np.float64]

_FOREIGN: dict[str, Callable[[int], BaseSampler]] = {
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
_POPULATION = 20  # Optuna's 50 would be a random search for as many trials as a network can pay for


def sampler_names() -> tuple[str, ...]:
    """What `make_sampler` knows."""
    return ("tenfold", *_FOREIGN)


def make_sampler(
    name: str, space: Space, *, seed: int = 0, first: Sequence[Plan] = (), front: str | None = None
) -> SpaceSampler:
    """A sampler by name.

    Args:
        name: "tenfold", or one of Optuna's: "gp", "tpe", "nsga2", "random".
        space: what is searched.
        seed: of everything that is random.
        first: plans of the first trials.
        front: the cost that the loss is weighed against, None for the loss alone.

    Raises:
        UnknownNameError: no such sampler.
    """
    if name == "tenfold":
        return TenfoldSampler(space, seed=seed, first=first, front=front)
    if name not in _FOREIGN:
        raise UnknownNameError("sampler", name, sampler_names())
    return _ForeignSampler(space, _FOREIGN[name], seed=seed, first=first)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The dimensions of a space as Optuna's distributions."""
    return {
        d.name: IntDistribution(int(d.low), int(d.high)) if d.integer else FloatDistribution(d.low, d.high)
        for d in space.dimensions
    }


class SpaceSampler(BaseSampler):
    """What all samplers of a space do: the first plans come first, by the number of the trial.

    Attributes:
        space: what is searched.
        seed: of everything that is random.
        first: plans of the first trials.
        on_start: called with each trial that begins, before it is sampled.
    """

    def __init__(self, space: Space, *, seed: int = 0, first: Sequence[Plan] = ()) -> None:
        """Sample points of `space`."""
        self.space = space
        self.seed = seed
        self.first = tuple(first)
        self.on_start: Callable[[FrozenTrial], None] | None = None

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tell whoever wants to know that a trial has begun."""
        del study
        if self.on_start is not None:
            self.on_start(trial)

    def named(self, trial: FrozenTrial) -> bool:
        """Whether all parameters of a trial are known."""
        return all(d.name in trial.params for d in self.space.dimensions)

    def plan_of(self, trial: FrozenTrial) -> Plan:
        """The plan that a trial is for: what it says itself, else what its point decodes to."""
        if PLAN in trial.user_attrs:
            return Plan.from_json(trial.user_attrs[PLAN])
        point = _point(self.space, trial.params)
        if trial.number < len(self.first):
            plan = self.first[trial.number]
            if np.array_equal(point, self.space.encode(plan)):
                return plan
        return self.space.decode(point)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All of the space."""
        del study, trial
        return distributions(self.space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The point of a first plan, or a proposal."""
        del search_space
        if trial.number < len(self.first):
            point = self.space.encode(self.first[trial.number])
        else:
            point = self.proposal(study, trial)
        return {
            d.name: int(value) if d.integer else float(value)
            for d, value in zip(self.space.dimensions, point, strict=True)
        }

    @abstractmethod
    def proposal(self, study: optuna.Study, trial: FrozenTrial) -> Array:
        """The next point (dimensions,)."""

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is not of the space: at random."""
        sampler = optuna.samplers.RandomSampler(seed=self._seed(trial))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _seed(self, trial: FrozenTrial) -> int:
        """Of one trial."""
        return int(np.random.SeedSequence([self.seed, trial.number]).generate_state(1)[0])


class TenfoldSampler(SpaceSampler):
    """Grey-box Bayesian optimisation: exact costs, a Gaussian process of the loss.

    The proposals are those of `tenfold.search.propose`.

    In a study of one objective the value is the loss; of two, the loss and the cost `front`.
    """

    def __init__(
        self, space: Space, *, seed: int = 0, first: Sequence[Plan] = (), front: str | None = None
    ) -> None:
        """Sample points of `space`, weighing the loss against the cost `front` if there is one."""
        super().__init__(space, seed=seed, first=first)
        self._front = front
        self._plans: dict[int, Plan] = {}

    def proposal(self, study: optuna.Study, trial: FrozenTrial) -> Array:
        """The point of largest expected gain, given all trials of the study."""
        whole = self._others(study, trial.number)
        observed = observed_of(self, whole)
        pending = [self.plan_of(t) for t in whole if t.state == TrialState.RUNNING]
        return propose(
            self.space,
            observed,
            rng=np.random.default_rng([self.seed, trial.number]),
            pending=pending,
            taken=[self.plan_of(t) for t in whole],
            front=self._front,
        )

    def _others(self, study: optuna.Study, number: int) -> list[FrozenTrial]:
        """All other trials that have a plan, once those begun earlier have: none is proposed twice."""
        end = time.monotonic() + _PATIENCE
        while True:
            others = [t for t in study.get_trials(deepcopy=False) if t.number != number]
            running = (t for t in others if t.number < number and t.state == TrialState.RUNNING)
            if all(map(self.named, running)) or time.monotonic() > end:
                return [t for t in others if self.named(t)]
            time.sleep(_WAIT)

    def plan_of(self, trial: FrozenTrial) -> Plan:
        """As of any sampler; remembered."""
        if trial.number not in self._plans:
            self._plans[trial.number] = super().plan_of(trial)
        return self._plans[trial.number]


class _ForeignSampler(SpaceSampler):
    """One of Optuna's samplers, made anew for each trial."""

    def __init__(
        self, space: Space, make: Callable[[int], BaseSampler], *, seed: int = 0, first: Sequence[Plan] = ()
    ) -> None:
        """Sample points of `space` with what `make` gives for a seed."""
        super().__init__(space, seed=seed, first=first)
        self._make = make

    def proposal(self, study: optuna.Study, trial: FrozenTrial) -> Array:
        """What Optuna itself would ask the sampler for, in the same order."""
        with quiet():
            sampler = self._make(self._seed(trial))
            sampler.before_trial(study, trial)
            relative = sampler.infer_relative_search_space(study, trial)
            found = sampler.sample_relative(study, trial, relative)
            for name, distribution in distributions(self.space).items():
                if name not in found and not distribution.single():
                    found[name] = sampler.sample_independent(study, trial, name, distribution)
        return _point(self.space, found)


def observed_of(sampler: SpaceSampler, trials: Iterable[FrozenTrial]) -> list[Observed]:
    """What is known of the loss: that of complete trials, and an estimate for those that were stopped.

    The estimate is the last value that was reported, times the median ratio of final to reported value at
    the same step.
    """
    trials = list(trials)
    whole = [t for t in trials if t.state == TrialState.COMPLETE]
    losses = {t.number: t.values[0] for t in whole}
    for trial in (t for t in trials if t.state == TrialState.PRUNED and t.intermediate_values):
        step = max(trial.intermediate_values)
        ratios = [t.values[0] / t.intermediate_values[step] for t in whole if t.intermediate_values.get(step)]
        losses[trial.number] = trial.intermediate_values[step] * (median(ratios) if ratios else 1.0)
    return [
        Observed(_point(sampler.space, t.params), sampler.plan_of(t), losses[t.number])
        for t in trials
        if t.number in losses
    ]


def _point(space: Space, params: Mapping[str, Any]) -> Array:
    """The parameters of a trial as a point (dimensions,); a dimension of one value may be left out."""
    return np.array([params.get(d.name, d.low) for d in space.dimensions], dtype=float)
