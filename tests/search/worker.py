"""One process of a search: prints each trial it ends as a line of JSON.

    python -m search.worker STORAGE TRIALS SAMPLER LOG DELAY

Each trial is noted in the file LOG as soon as it begins, and takes DELAY seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from search.problem import loss, space
from tenfold.core.plan import Plan
from tenfold.search.study import Measured, Report, SearchSettings, search


def main() -> None:
    storage, trials, sampler, log, delay = sys.argv[1:]

    def objective(plan: Plan, report: Report) -> Measured:
        with Path(log).open("a") as file:
            file.write(f"{report.number}\n")
        time.sleep(float(delay))
        return Measured(loss(plan))

    settings = SearchSettings(trials=int(trials), storage=storage, sampler=sampler, seed=3)
    searched = space()
    for state in search(searched, objective, settings, first={"allocation": searched.plain}):
        row = {"number": state.number, "plan": state.plan.to_json(), "loss": state.loss}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
