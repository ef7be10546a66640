"""A run, read for showing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenfold.core.plan import Plan
from tenfold.core.report import Report
from tenfold.reporting.search import Search

__all__ = ["Record"]


@dataclass(frozen=True)
class Record:
    """What there is of a run. One without a report is not finished.

    Attributes:
        name: of the run.
        report: what it measured; None as long as it is not finished.
        plan: of a run that is not finished, if it has one already.
        settings: all of them by name, as JSON values.
        meanings: what a setting means, by its name.
        last: the last event of a run that is not finished.
        search: the search of its ranks, if there was one.
    """

    name: str
    report: Report | None = None
    plan: Plan | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    last: Mapping[str, Any] | None = None
    search: Search | None = None

    @property
    def planned(self) -> bool:
        """Whether it is a job that ends with the plan, and has one."""
        return self.settings.get("until") == "plan" and self.plan is not None

    @property
    def standing(self) -> str:
        """Where a run that is not finished stands.

        Example:
            >>> Record("a", last={"phase": "recover", "done": 250, "total": 500}).standing
            'not finished; the last it told: recover, 250 of 500'
        """
        if self.last is None:
            return "not finished, and it told nothing yet"
        phase, done, total = (self.last.get(key, "?") for key in ("phase", "done", "total"))
        return f"not finished; the last it told: {phase}, {done} of {total}"
