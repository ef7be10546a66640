"""Who works on which trial: signs of life, and trials of dead processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from threading import Event, Thread

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tenfold.search.quiet import quiet
from tenfold.search.storage import HEARTBEAT, RETRIES
from tenfold.search.tried import ERROR
from tenfold.search.worker import Worker

__all__ = ["Claims"]

_WORKER, _ATTEMPTS = "worker", "attempts"  # user attributes of a trial
_UNCLAIMED = 10.0  # seconds that a process needs at most to sign a trial it has made


class Claims:
    """The trials of one study, as one process sees them."""

    def __init__(self, study: optuna.Study, storage: RDBStorage) -> None:
        """Watch over `study`, which is kept in `storage`."""
        self._study, self._storage = study, storage
        self._id = storage.get_study_id_from_name(study.study_name)
        self._worker = asdict(Worker.this())
        self._since = time.monotonic()
        self._last: int | None = None

    def identity(self, number: int) -> int:
        """What the storage calls a trial."""
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def claim(self, trial: FrozenTrial) -> None:
        """Sign a trial that this process has just begun."""
        self._last = trial.number
        identity = self.identity(trial.number)
        self._storage.set_trial_user_attr(identity, _WORKER, self._worker)
        self._storage.set_trial_user_attr(identity, _ATTEMPTS, trial.user_attrs.get(_ATTEMPTS, 0) + 1)
        self._storage.record_heartbeat(identity)

    def release_last(self) -> None:
        """Give the trial that this process began last back, unless it has ended."""
        if self._last is None:
            return
        identity = self.identity(self._last)
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(identity, _ATTEMPTS, 0)
            self._storage.set_trial_state_values(identity, TrialState.WAITING)

    def reclaim(self) -> bool:
        """Let the trials of dead processes be tried again.

        Those of this machine under their own number, so that a search that was killed goes on as if it had
        not been; those of others as Optuna does it. False while a trial is so new that it may yet be signed.
        """
        optuna.storages.fail_stale_trials(self._study)
        settled = True
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            signed = trial.user_attrs.get(_WORKER)
            if signed is None and self._new(trial):
                settled = False
            elif signed is None or Worker(**signed).lives() is False:
                self._again(trial)
        return settled

    @contextmanager
    def alive(self, number: int) -> Iterator[None]:
        """Give signs of life for a trial while the block lasts."""
        identity, ended = self.identity(number), Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT):
                with suppress(SQLAlchemyError, optuna.exceptions.StorageInternalError):
                    self._storage.record_heartbeat(identity)  # a later one may come through
            self._storage.remove_session()

        thread = Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _new(self, trial: FrozenTrial) -> bool:
        """Whether a trial may have been made a moment ago, by the clocks of both processes."""
        age = (datetime.now() - (trial.datetime_start or datetime.min)).total_seconds()
        return age < _UNCLAIMED and time.monotonic() - self._since < _UNCLAIMED

    def _again(self, trial: FrozenTrial) -> None:
        """Put a trial back, unless it has killed its process too often."""
        attempts = int(trial.user_attrs.get(_ATTEMPTS, 1))
        identity = self.identity(trial.number)
        with suppress(UpdateFinishedTrialError), quiet():
            if attempts <= RETRIES:
                self._storage.set_trial_state_values(identity, TrialState.WAITING)
                return
            died = f"its process died {attempts} times"
            self._storage.set_trial_user_attr(identity, ERROR, died)
            self._storage.set_trial_state_values(identity, TrialState.FAIL)
