"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tenfold.core.atomic import write_text
from tenfold.core.errors import RunError
from tenfold.jobs.record import read_record
from tenfold.reporting.comparison import Comparison, compare_records, comparison_page
from tenfold.reporting.html import to_html
from tenfold.runs.directory import RunDirectory

__all__ = ["compare"]


def compare(runs: Sequence[Path], out: Path | None = None) -> Comparison:
    """Compare runs, and write a page about them.

    Args:
        runs: directories of at least two runs; those that are not finished have dashes for figures.
        out: where to write the page; None for nowhere.

    Raises:
        RunError: fewer than two runs, one is given twice, is no run directory or has a broken file, none is
            finished, or the page cannot be written.
    """
    directories = [RunDirectory.open(run) for run in runs]
    records = [read_record(run, name) for run, name in zip(directories, _names(directories), strict=True)]
    if all(record.report is None for record in records):
        raise RunError("none of these runs is finished: there is nothing to compare yet")
    comparison = compare_records(records)
    if out is not None:
        write_text(out, to_html(comparison_page(comparison, records)))
    return comparison


def _names(runs: Sequence[RunDirectory]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    paths = [run.path.resolve() for run in runs]
    if len(paths) < 2:
        raise RunError("a comparison needs two runs at least: give their directories")
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise RunError(f"the run {twice} was given twice: leave one of them out")
    for length in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
