"""A search that many processes may share and that survives a kill, by Optuna's ask and tell."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from tenfold.core.errors import DataError, PlanError, RunError, UnknownNameError
from tenfold.core.plan import Plan
from tenfold.search.base import Space
from tenfold.search.claims import Claims
from tenfold.search.pruning import hopeless
from tenfold.search.quiet import quiet
from tenfold.search.sampler import PLAN, SpaceSampler, distributions, make_sampler
from tenfold.search.storage import open_storage, shown, storage_errors
from tenfold.search.tried import ACCURACY, COSTS, ERROR, ORIGIN, SECONDS, Tried, read_trials

__all__ = ["Measured", "Objective", "Report", "SearchSettings", "search", "stored"]

_MADE_FOR = "tenfold"  # user attribute of a study
_PATIENCE = 5  # failures in a row, none having succeeded, that end a search
_WAIT = 0.2  # seconds between two looks at what others do
_TROUBLE = (OSError, DataError, RunError, MemoryError)
"""What is no fault of a plan: the search ends, and when it goes on, the trial is tried again."""


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search.

    Attributes:
        trials: complete and stopped trials of the study, over all its processes, that end the search.
        storage: path of a SQLite file, or the URL of a database.
        name: of the study; a storage may hold several.
        sampler: "tenfold", or one of Optuna's: "gp", "tpe", "nsga2", "random".
        seed: of everything that is random.
        front: None for the least loss, or the limited cost that the loss is weighed against.
        prune: whether hopeless trials are stopped by what they report.
        purpose: what else a loss depends on (network, images, recovery), in any words; a study that was
            begun for another purpose is refused.
    """

    trials: int = 40
    storage: str | Path = "search.db"
    name: str = "ranks"
    sampler: str = "tenfold"
    seed: int = 0
    front: str | None = None
    prune: bool = True
    purpose: str = ""


@dataclass(frozen=True)
class Measured:
    """What an objective found.

    Attributes:
        loss: cross-entropy in nats on images held out, above 0, at its best temperature or not; the smaller,
            the better.
        accuracy: percent, if it was measured.
    """

    loss: float
    accuracy: float | None = None


class Report:
    """How an objective tells what it has so far. Call it; stop when it says so.

    Attributes:
        number: of the trial, from 0.
    """

    def __init__(self, number: int, note: Callable[[float, int], bool]) -> None:
        """Pass (loss, step) on to `note`."""
        self.number = number
        self._note = note

    def __call__(self, loss: float, step: int) -> bool:
        """Note the loss at a step, and say whether to stop: the trial is then hopeless."""
        return self._note(float(loss), step)


Objective = Callable[[Plan, Report], Measured | None]
"""Tries a plan. Gives what it found, or None after it was told to stop."""


def search(
    space: Space,
    objective: Objective,
    settings: SearchSettings,
    *,
    first: Mapping[str, Plan] | None = None,
) -> Iterator[Tried]:
    """Try plans until enough of them are known.

    A study that is there already is gone on with. Whatever was killed, the same plans are tried as if it had
    not been: a proposal depends on the seed, the trial's number and the trials that have ended. A trial of a
    dead process is tried again under its number, at most twice; if the process ran on another machine, after
    two minutes without a sign of life, under a new number. Processes that share a study do not try a plan
    twice unless they ask at the same moment.

    Args:
        space: what is searched.
        objective: tries a plan. What it raises is recorded with the trial, and the search goes on, except
            for troubles that are not the plan's (files, memory), and interruptions.
        settings: see `SearchSettings`.
        first: plans to begin with, by the name of where they come from; each is tried once.

    Yields:
        The trials that this process ends, each as soon as it is stored. Stop iterating to stop searching.

    Raises:
        RunError: the storage cannot be used, or holds a study of another table or budget; or five trials
            failed in a row and none succeeded.
        PlanError: a first plan does not meet the limits or is not of the table; or nothing can be searched.
        UnknownNameError: no such sampler or cost.
    """
    failed = 0
    with closing(_Study(space, settings, dict(first or {}))) as study:
        while (number := study.next()) is not None:
            state = study.run(number, objective)
            failed = failed + 1 if state.error else 0
            yield state
            if failed >= min(_PATIENCE, settings.trials) and not study.succeeded():
                raise RunError(
                    f"the last {failed} trials all failed, the last one with: {state.error}; "
                    "mend what they try, and search on or anew"
                )


def stored(space: Space, settings: SearchSettings, *, first: Mapping[str, Plan] | None = None) -> list[Tried]:
    """All trials of a study that have ended, by number; the arguments are those of `search`."""
    with closing(_Study(space, settings, dict(first or {}))) as study:
        return study.ended()


class _Study:
    """A study of Optuna's and what this process does in it."""

    def __init__(self, space: Space, settings: SearchSettings, first: dict[str, Plan]) -> None:
        """Open the study, or make it."""
        _check(space, settings, first)
        self._space, self._settings, self._first = space, settings, first
        self._storage = open_storage(settings.storage)
        with self._quiet():
            self._sampler: SpaceSampler = make_sampler(
                settings.sampler, space, seed=settings.seed, first=list(first.values()), front=settings.front
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=settings.name,
                sampler=self._sampler,
                directions=["minimize"] * (1 if settings.front is None else 2),
                load_if_exists=True,
            )
            self._claims = Claims(self._study, self._storage)
            self._sampler.on_start = self._claims.claim
            self._compare()

    def close(self) -> None:
        """Let the database go."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def next(self) -> int | None:
        """Begin a trial and give its number; None when enough are known."""
        while True:
            with self._quiet():
                settled = self._claims.reclaim()
                trials = self._trials()
                known = sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials)
                running = sum(t.state == TrialState.RUNNING for t in trials)
                if known >= self._settings.trials:
                    return None
                if settled and known + running < self._settings.trials:
                    with self._released_if_broken_off():
                        number = self._study.ask(distributions(self._space)).number
                    if not self._surplus(number):
                        return number
                    self._claims.release_last()
            time.sleep(_WAIT)

    def run(self, number: int, objective: Objective) -> Tried:
        """Try the plan of a trial, and store what comes out; give the trial back if it cannot be ended."""
        with self._released_if_broken_off():
            with self._quiet():
                plan = self._sampler.plan_of(self._trial(number))
                costs = self._space.costs(plan)
                self._note(number, {PLAN: plan.to_json(), COSTS: costs, ORIGIN: self._origin(number)})
            begin = time.perf_counter()
            with self._claims.alive(number):
                found, error = self._measured(number, objective, plan, costs)
            self._tell(number, found, error, seconds=round(time.perf_counter() - begin, 3))
        return next(state for state in self.ended() if state.number == number)

    @contextmanager
    def _released_if_broken_off(self) -> Iterator[None]:
        """Whatever ends the block but its end: let the trial that was begun last be tried again."""
        try:
            yield
        except BaseException:
            with suppress(RunError), self._quiet():
                self._claims.release_last()
            raise

    def ended(self) -> list[Tried]:
        """All trials that have ended."""
        with self._quiet():
            return read_trials(self._sampler, self._trials())

    def succeeded(self) -> bool:
        """Whether any trial has not failed."""
        with self._quiet():
            return any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in self._trials())

    def _measured(
        self, number: int, objective: Objective, plan: Plan, costs: dict[str, float]
    ) -> tuple[Measured | None, str]:
        """What the objective gives, and what was wrong with it."""
        told_to_stop = False

        def note(loss: float, step: int) -> bool:
            nonlocal told_to_stop
            with self._quiet():
                told_to_stop = self._intermediate(number, loss, step, costs)
            return told_to_stop

        try:
            found = objective(plan, Report(number, note))
        except _TROUBLE:
            raise
        except Exception as error:  # noqa: BLE001 (a plan may break whatever the objective does with it)
            return None, f"{type(error).__name__}: {error}"
        if found is None:
            return None, "" if told_to_stop else "the objective gave nothing, though it was not told to stop"
        if not math.isfinite(found.loss):
            return None, f"the loss is {found.loss}"
        return found, ""

    def _intermediate(self, number: int, loss: float, step: int, costs: dict[str, float]) -> bool:
        """Store an early loss; whether the trial is hopeless."""
        if math.isfinite(loss):
            self._storage.set_trial_intermediate_value(self._claims.identity(number), step, loss)
        if not self._settings.prune:
            return False
        others = [t for t in self._trials() if t.number != number]
        return hopeless(loss, step, costs, others, self._settings.front)

    def _tell(self, number: int, found: Measured | None, error: str, *, seconds: float) -> None:
        """Store how a trial ended."""
        with self._quiet():
            self._note(number, {SECONDS: seconds, ERROR: error, ACCURACY: found and found.accuracy})
            if found is None:
                state = TrialState.FAIL if error else TrialState.PRUNED
                self._study.tell(number, state=state, skip_if_finished=True)
                return
            front, costs = self._settings.front, self._trial(number).user_attrs[COSTS]
            values = [found.loss] if front is None else [found.loss, costs[front]]
            self._study.tell(number, values, skip_if_finished=True)

    def _surplus(self, number: int) -> bool:
        """Whether another process filled the last place at the same time, and has the smaller number."""
        counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        before = sum(t.state in counted and t.number < number for t in self._trials())
        return before >= self._settings.trials

    def _origin(self, number: int) -> str:
        """Where the plan of a trial comes from."""
        names = list(self._first)
        return names[number] if number < len(names) else self._settings.sampler

    def _note(self, number: int, attributes: Mapping[str, object]) -> None:
        """Store user attributes that are not None or empty."""
        for key, value in attributes.items():
            if value not in (None, ""):
                self._storage.set_trial_user_attr(self._claims.identity(number), key, value)

    def _trials(self) -> list[FrozenTrial]:
        """All of the study, by number."""
        return self._study.get_trials(deepcopy=False)

    def _trial(self, number: int) -> FrozenTrial:
        """One of them."""
        return self._storage.get_trial(self._claims.identity(number))

    def _compare(self) -> None:
        """Refuse a study that was made for something else; its points would be misread."""
        first = {name: json.loads(plan.to_json()) for name, plan in self._first.items()}
        mine = {
            "space": self._space.fingerprint,
            "front": self._settings.front,
            "purpose": self._settings.purpose,
            "first": first,
        }
        theirs = self._study.user_attrs.get(_MADE_FOR)
        if theirs is None and not self._trials():
            self._study.set_user_attr(_MADE_FOR, mine)
        elif theirs != mine:
            met = "another program" if theirs is None else _difference(mine, theirs)
            raise RunError(
                f"the study {self._settings.name!r} in {shown(self._settings.storage)} was made for {met}; "
                "give another name or another storage"
            )

    def _quiet(self) -> AbstractContextManager[None]:
        """Optuna in silence, errors of the database in words."""
        return _in_words(self._settings.storage)


@contextmanager
def _in_words(where: str | Path) -> Iterator[None]:
    """Optuna in silence, errors of the database in words."""
    with storage_errors(where), quiet():
        yield


def _check(space: Space, settings: SearchSettings, first: Mapping[str, Plan]) -> None:
    """Refuse what no search can be made of."""
    if not space.dimensions:
        raise PlanError("there is nothing to search: no layer can be factorised")
    if settings.front is not None and settings.front not in space.limits:
        raise UnknownNameError("limited cost", settings.front, space.limits)
    for name, plan in first.items():
        if not space.fits(plan):
            costs = space.costs(plan)
            over = ", ".join(
                f"{cost} {costs[cost]:,.0f} of {limit:,.0f}"
                for cost, limit in space.limits.items()
                if costs[cost] > limit
            )
            raise PlanError(
                f"the plan {name!r} to begin with is over the budget: {over}; leave it out or shrink it"
            )


def _difference(mine: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """What a study was made for, so far as it is not what is asked."""
    words = {
        "space": "another table, budget or space",
        "front": f"front={theirs.get('front')}",
        "purpose": f"another purpose ({theirs.get('purpose')})",
        "first": "other first plans",
    }
    return " and ".join(word for key, word in words.items() if mine[key] != theirs.get(key))
