"""Passphrases of jobs that wait: in memory alone, until the job has its own."""

from __future__ import annotations

from tenfold.config import read_toml
from tenfold.studio.errors import JobError
from tenfold.studio.jobs import Job

__all__ = ["Passphrases"]


class Passphrases:
    """Number of a job -> the passphrase that its package is to be protected with."""

    def __init__(self) -> None:
        """None yet."""
        self._kept: dict[int, str] = {}

    def keep(self, number: int, passphrase: str) -> None:
        """Keep one until `take` or `forget`."""
        self._kept[number] = passphrase

    def take(self, job: Job) -> str | None:
        """The one of a job that starts, which is forgotten; None for a job that needs none.

        Raises:
            JobError: it needs one, and that is not known any more, after a start of this program or of the
                job.
        """
        if not (job.command == "pack" and read_toml(job.file).get("protect")):
            return None
        passphrase = self._kept.pop(job.id, None)
        if passphrase is None:
            raise JobError(
                "the passphrase of this package is not known any more, for it is kept nowhere; make the "
                "package anew on the page Package"
            )
        return passphrase

    def forget(self, number: int) -> None:
        """Forget one that is not needed any more."""
        self._kept.pop(number, None)
