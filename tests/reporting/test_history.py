from __future__ import annotations

from typing import Any

import pytest

from run_samples import CYCLES, STEPS, history
from tenfold.core.errors import RunError
from tenfold.plots.curves import Snapshot
from tenfold.reporting.history import Rollback, read_history


def test_rows_go_where_they_belong() -> None:
    found = read_history(history())
    assert [x.phase for x in found.judgements] == ["one shot", "recovered"]
    assert found.recovery is not None
    assert found.training is not None
    assert len(found.recovery.points) == 30
    assert len(found.training.points) == CYCLES * STEPS
    assert [x.chosen for x in found.cycles] == [False, True, False]
    assert found.training.snapshots[1] == Snapshot(2 * STEPS, 90.25, True)
    assert found.rollbacks == (Rollback(55, 0.005, "the loss was NaN"),)
    assert found.training.rollbacks == (55,)


def test_training_starts_from_what_the_recovery_left() -> None:
    assert read_history(history()).training.start == 88.0  # type: ignore[union-attr]
    undone = {"phase": "recovery undone", "held_out_accuracy": 61.5, "held_out_loss": 0.3}
    assert read_history([*history(), undone]).training.start == 61.5  # type: ignore[union-attr]
    rows = [row for row in history() if row["phase"] not in ("one shot", "recovered")]
    assert read_history(rows).training.start is None  # type: ignore[union-attr]


def test_steps_made_again_count_once_and_stand_in_order() -> None:
    rows = [{"phase": "training", "step": n, "loss": 1.0, "rate": 0.1} for n in (1, 2, 3)]
    again = [{"phase": "training", "step": n, "loss": 2.0, "rate": 0.05} for n in (2, 3, 4)]
    points = read_history([*rows, *again]).training.points  # type: ignore[union-attr]
    assert [(x.step, x.loss) for x in points] == [(1, 1.0), (2, 2.0), (3, 2.0), (4, 2.0)]
    backwards = read_history(reversed(rows)).training.points  # type: ignore[union-attr]
    assert [x.step for x in backwards] == [1, 2, 3]


def test_nothing_and_phases_of_later_versions_are_no_error() -> None:
    empty = read_history([{"phase": "something new", "value": 1}])
    assert (empty.judgements, empty.recovery, empty.training) == ((), None, None)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"phase": "training", "step": 1},
        {"phase": "recovery", "step": 1, "loss": None, "rate": 0.1},
        {"phase": "snapshot", "step": 1},
        {"phase": "recovered", "held_out_accuracy": "x", "held_out_loss": 1},
    ],
)
def test_a_broken_row_is_said(row: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="history of the report has a row that tenfold did not write"):
        read_history([row])
