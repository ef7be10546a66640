"""Jobs that wait, run and have run. Each runs as a process of its own, like a command in a terminal.

    queue.add(session, command, values, run_directory, passphrase=None) -> Job
    queue.jobs(session), job(session, id)      own ones; all for an administrator
    queue.cancel(session, id), resume(session, id), remove(session, id)
    queue.progress(session, id) -> Progress    also: events, log
    queue.poll() -> ids                        by a timer, twice a second or so: starts, ends, asks again
    queue.at_once, set_at_once(session, n)

All methods return at once; one thread at a time may call them. A job goes on when this program ends, and is
found again at the next start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tenfold.core.atomic import write_text
from tenfold.core.errors import TenfoldError
from tenfold.runs.directory import RunDirectory
from tenfold.studio.accounts import Accounts
from tenfold.studio.command import arguments_of, free_beside, is_free, run_of, settings_text
from tenfold.studio.database import Database
from tenfold.studio.errors import JobError, StorageError
from tenfold.studio.jobs import MAKERS, SELECT, Job, job_of
from tenfold.studio.passphrases import Passphrases
from tenfold.studio.process import Process
from tenfold.studio.progress import Meter, Progress, last_lines
from tenfold.studio.sessions import Session
from tenfold.studio.verdict import Verdict, judged, not_started

__all__ = ["Queue"]

_GRACE_S = 30.0  # a step on a slow machine
_KILL_S = 10.0
_MOST_AT_ONCE = 64


@dataclass
class _Running:
    """A job with a process."""

    job: Job
    process: Process
    cancel_asked: float | None


class Queue:
    """The jobs in a database.

    Attributes:
        folder: has a folder for each job, with its job file and its log.
    """

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        folder: Path,
        *,
        now: Callable[[], float] = time.time,
        grace_s: float = _GRACE_S,
    ) -> None:
        """Find the jobs that run, and say of those that no longer do what became of them.

        Args:
            database: open.
            accounts: in it.
            folder: data folder; runs that name no other place go to `runs` in it.
            now: seconds since 1970.
            grace_s: seconds that a job has to stop at its next step, once that was asked.
        """
        self.folder = folder / "jobs"
        self._runs = folder / "runs"
        self._database = database
        self._accounts = accounts
        self._now = now
        self._grace_s = grace_s
        self._running: dict[int, _Running] = {}
        self._meters: dict[int, Meter] = {}
        self._passphrases = Passphrases()
        self._find()

    def add(
        self,
        session: Session,
        command: str,
        values: Mapping[str, Any],
        run_directory: Path | None = None,
        *,
        passphrase: str | None = None,
    ) -> Job:
        """Queue a job.

        Args:
            session: of its owner.
            command: one of `tenfold.studio.jobs.MAKERS` or `USERS`.
            values: its settings by name, as of a form or of `read_toml`; options where there is no job file.
            run_directory: a new or empty folder; None for one of the data folder's. Not for `USERS`, whose
                `run` is in `values`.
            passphrase: of a package whose `values` have `protect`. It is kept in memory until the job starts.

        Raises:
            TenfoldError: a setting is unknown, missing or out of its range.
            JobError: there is no such command, or the folder is in use.
            SessionError, StorageError: the session is locked or over; it cannot be written.
        """
        owner = self._accounts.checked(session)
        run = run_of(command, values, run_directory)
        text = settings_text(command, values)
        with self._database.transaction() as connection:
            now = self._now()
            added = connection.execute(
                "INSERT INTO job (owner, command, settings, run_directory, working_folder, state, created, "
                "queued) VALUES (?, ?, ?, '', ?, 'queued', ?, ?)",
                (owner.id, command, text, str(Path.cwd()), now, now),
            )
            number = int(added.lastrowid or 0)
            run = run or self._free(number)
            if command in MAKERS:
                self._check_free(run, number)
            connection.execute("UPDATE job SET run_directory = ? WHERE id = ?", (str(run), number))
            self._write_file(number, text)
        if passphrase is not None:
            self._passphrases.keep(number, passphrase)
        return self._job(number)

    def jobs(self, session: Session) -> tuple[Job, ...]:
        """One's own jobs, the newest first; an administrator's are those of all.

        Raises:
            SessionError: the session is locked or over.
        """
        user = self._accounts.checked(session)
        rows = self._database.read(
            f"{SELECT} WHERE job.owner = ? OR ? ORDER BY job.id DESC", user.id, user.administrator
        )
        return tuple(job_of(row, self.folder) for row in rows)

    def job(self, session: Session, number: int) -> Job:
        """One of `jobs`.

        Raises:
            JobError: there is none of that number, or it is someone else's.
            SessionError: the session is locked or over.
        """
        user = self._accounts.checked(session)
        rows = self._database.read(
            f"{SELECT} WHERE job.id = ? AND (job.owner = ? OR ?)", number, user.id, user.administrator
        )
        if not rows:
            raise JobError(f"there is no job {number} of yours; see the list of jobs")
        return job_of(rows[0], self.folder)

    def cancel(self, session: Session, number: int) -> None:
        """Take a job from the queue, or ask it to stop at its next step; `poll` sees to it that it does.

        Raises:
            JobError: there is none, or it is over.
            SessionError: the session is locked or over.
        """
        job = self.job(session, number)
        if job.over:
            raise JobError(f"job {number} is {job.state} already; there is nothing to cancel")
        if job.cancelling:
            return
        now = self._now()
        if job.state == "queued":
            self._update(number, state="cancelled", ended=now)
            self._passphrases.forget(number)
            return
        self._update(number, cancel_asked=now)
        if number in self._running:
            self._running[number].cancel_asked = now
            self._running[number].process.interrupt()

    def resume(self, session: Session, number: int) -> None:
        """Queue a job again: it goes on from what it has, or begins anew where there is nothing.

        Raises:
            JobError: there is none, it is done, waits or runs, or another one uses its folder.
            SessionError: the session is locked or over.
        """
        job = self.job(session, number)
        if not job.over or job.state == "done":
            raise JobError(
                f"job {number} is {job.state}; only one that failed or was stopped can be gone on with"
            )
        if job.command in MAKERS:
            self._check_unused(job.run_directory, number)
        self._update(number, state="queued", queued=self._now(), ended=None, cancel_asked=None, error="")

    def remove(self, session: Session, number: int) -> None:
        """Take a job that is over off the list, with its log; its run directory stays.

        Raises:
            JobError: there is none, or it waits or runs.
            SessionError: the session is locked or over.
        """
        job = self.job(session, number)
        if not job.over:
            raise JobError(f"job {number} is {job.state}; cancel it first")
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM job WHERE id = ?", (number,))
        self._meters.pop(number, None)
        for file in (job.file, self._log(number)):
            file.unlink(missing_ok=True)

    def progress(self, session: Session, number: int) -> Progress:
        """How far a job is, or was when it ended.

        Raises:
            JobError, SessionError: as `job`.
        """
        return self._meter(self.job(session, number)).read(self._now())

    def events(self, session: Session, number: int, since: int = 0) -> list[dict[str, Any]]:
        """The events of a job from the one of index `since` on, as they are in events.jsonl.

        Raises:
            JobError, SessionError: as `job`.
        """
        meter = self._meter(self.job(session, number))
        meter.read(self._now())
        return meter.events[since:]

    def log(self, session: Session, number: int) -> str:
        """The end of what a job printed: a line `--- time command` for each process, errors, figures.

        Raises:
            JobError, SessionError: as `job`.
        """
        return last_lines(self._log(self.job(session, number).id))

    @property
    def at_once(self) -> int:
        """How many jobs run at the same time."""
        return int(self._database.setting("jobs at once", "1"))

    def set_at_once(self, session: Session, count: int) -> None:
        """Set `at_once`, as an administrator. Those that run already go on.

        Raises:
            JobError: not between 1 and 64.
            SessionError, RightsError: the session is locked or over; only an administrator may.
        """
        self._accounts.checked(session, administrator=True)
        if not 1 <= count <= _MOST_AT_ONCE:
            raise JobError(f"{count} jobs at once: take 1 to {_MOST_AT_ONCE}")
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO setting VALUES ('jobs at once', ?)", (str(count),))

    def poll(self) -> tuple[int, ...]:
        """Note which processes have ended, press those that were asked to stop, start what waits.

        Returns:
            The numbers of the jobs whose state has changed.

        Raises:
            StorageError: the database cannot be written; the next call does what this one could not.
        """
        changed = self._find()
        for number, running in list(self._running.items()):
            if running.process.ended():
                self._end(running)
                changed.append(number)
            elif running.cancel_asked is not None:
                self._press(running.process, self._now() - running.cancel_asked)
        waiting = self._database.read(f"{SELECT} WHERE state = 'queued' ORDER BY queued, job.id")
        for row in waiting:
            if len(self._running) >= self.at_once:
                break
            self._start(job_of(row, self.folder), Path(row["working_folder"]))
            changed.append(row["id"])
        return tuple(changed)

    def close(self) -> None:
        """Let go of the jobs that run; they go on."""
        for running in self._running.values():
            running.process.leave()
        self._running.clear()

    def _find(self) -> list[int]:
        """Take up the jobs that should be running; gives those that are not."""
        ended = []
        for row in self._database.read(f"{SELECT} WHERE state = 'running'"):
            if row["id"] in self._running:
                continue
            job = job_of(row, self.folder)
            process = Process.found(row["process"] or "")
            if process is None:
                self._note_end(job, self._verdict(job, None, row["cancel_asked"] is not None))
                ended.append(job.id)
            else:
                self._running[job.id] = _Running(job, process, row["cancel_asked"])
        return ended

    def _start(self, job: Job, working_folder: Path) -> None:
        """Start a process for a job that waits, or note why that cannot be done."""
        now = self._now()
        self._meters.pop(job.id, None)
        try:
            self._write_file(job.id, job.settings)
            arguments, run = arguments_of(job)
            self._update(job.id, state="running", started=now, process=None, run_directory=str(run))
            line = self._passphrases.take(job)
            process = Process.start(arguments, log=self._log(job.id), folder=working_folder, first_line=line)
        except (JobError, OSError) as error:
            self._note_end(job, not_started(error))
            return
        job = replace(job, state="running", started=now, run_directory=run)
        try:
            self._update(job.id, process=process.text)
        except StorageError:
            process.kill()  # nobody would know it again
            process.leave()
            raise
        self._running[job.id] = _Running(job, process, None)

    def _end(self, running: _Running) -> None:
        """Note what became of a job whose process has ended."""
        verdict = self._verdict(running.job, running.process.status, running.cancel_asked is not None)
        self._note_end(running.job, verdict)
        del self._running[running.job.id]

    def _verdict(self, job: Job, status: int | None, asked: bool) -> Verdict:
        """What became of a job."""
        log = last_lines(self._log(job.id))
        return judged(status, asked=asked, run=job.run_directory, log=log, since=job.started or 0)

    def _note_end(self, job: Job, verdict: Verdict) -> None:
        """Write it down."""
        self._update(job.id, state=verdict.state, error=verdict.error, ended=self._now(), process=None)

    def _press(self, process: Process, waited_s: float) -> None:
        """End a process that has not stopped in time."""
        if waited_s >= self._grace_s + _KILL_S:
            process.kill()
        elif waited_s >= self._grace_s:
            process.terminate()

    def _update(self, number: int, **columns: Any) -> None:
        """Set columns of a job; their names are this program's."""
        names = ", ".join(f"{name} = ?" for name in columns)
        with self._database.transaction() as connection:
            connection.execute(f"UPDATE job SET {names} WHERE id = ?", (*columns.values(), number))

    def _job(self, number: int) -> Job:
        """A job that is there."""
        (row,) = self._database.read(f"{SELECT} WHERE job.id = ?", number)
        return job_of(row, self.folder)

    def _meter(self, job: Job) -> Meter:
        """What reads the events of a job."""
        if job.id not in self._meters:
            file = RunDirectory(job.run_directory).events_file
            self._meters[job.id] = Meter(file, job.started or 0)
        return self._meters[job.id]

    def _log(self, number: int) -> Path:
        """Where the processes of a job print to."""
        return self.folder / str(number) / "log.txt"

    def _write_file(self, number: int, text: str) -> None:
        """The job file."""
        folder = self.folder / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "job.toml", text)
        except (OSError, TenfoldError) as error:
            raise JobError(f"cannot keep the job's settings: {error}") from error

    def _free(self, number: int) -> Path:
        """A folder for a run that was given none."""
        return free_beside(self._runs / f"{number:04d}")

    def _check_free(self, run: Path, number: int) -> None:
        """Refuse a folder that is not new or empty, or that another job will use."""
        if not is_free(run):
            raise JobError(f"{run} holds something already; choose a new folder")
        self._check_unused(run, number)

    def _check_unused(self, run: Path, number: int) -> None:
        """Refuse a folder that another job uses or will use."""
        for row in self._database.read(
            f"{SELECT} WHERE state IN ('queued', 'running') AND job.id <> ?", number
        ):
            if row["run_directory"] and Path(row["run_directory"]) == run:
                raise JobError(
                    f"{run} is the folder of job {row['id']}, which is {row['state']}; choose another one"
                )
