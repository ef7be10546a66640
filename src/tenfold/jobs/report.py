"""report.html of a run: written when a job ends, or again from what the run directory holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenfold.core.atomic import write_text
from tenfold.jobs.record import read_record
from tenfold.reporting.html import to_html
from tenfold.reporting.record import Record
from tenfold.reporting.run_page import run_page
from tenfold.runs.directory import RunDirectory

__all__ = ["Reported", "report", "write_page"]

_PAGE = "report.html"


@dataclass(frozen=True)
class Reported:
    """What `report` made.

    Attributes:
        path: of the page.
        record: what stands in it; one without a report is of a run that is not finished.
    """

    path: Path
    record: Record


def report(run: Path) -> Reported:
    """Write report.html of a run, from its files alone.

    Args:
        run: directory of a run, finished or not.

    Raises:
        RunError: this is no run directory, one of its files is broken, or the page cannot be written.
    """
    directory = RunDirectory.open(run)
    return write_page(directory, directory.path.resolve().name)


def write_page(run: RunDirectory, name: str) -> Reported:
    """Write report.html into the folder of a run that shall be called `name`.

    Raises:
        RunError: one of its files is broken, or the page cannot be written.
    """
    record = read_record(run, name)
    return Reported(write_text(run.path / _PAGE, to_html(run_page(record))), record)
