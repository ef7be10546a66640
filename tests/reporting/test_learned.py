from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from page_reading import check_alone
from run_samples import history, learned_history, report
from tenfold.core.errors import RunError
from tenfold.reporting.blocks import Figure, Table
from tenfold.reporting.comparison import compare_records
from tenfold.reporting.history import read_history
from tenfold.reporting.html import to_html
from tenfold.reporting.learned import Learned
from tenfold.reporting.record import Record
from tenfold.reporting.run_page import run_page


def learned(rows: tuple[dict[str, Any], ...] | None = None) -> Learned:
    found = read_history(rows or learned_history()).learned
    assert found is not None
    return found


def blocks(record: Record) -> dict[str, Figure | Table]:
    (section,) = [section for section in run_page(record).sections if section.name == "learned"]
    return {getattr(block, "name", block.caption): block for block in section.blocks}


def record(*rows: dict[str, Any]) -> Record:
    return Record("learned", report(history=rows or learned_history()))


def test_steps_are_placed_in_epochs_with_both_losses() -> None:
    course = learned().course
    assert [step.epoch for step in course.steps[8:11]] == pytest.approx([0.9, 1.0, 1.1])
    assert (course.steps[12].loss, course.steps[12].penalty) == (2 / 4, 0.01 * 3)
    assert [fit.epoch for fit in course.fits] == [1, 2, 3, 4]
    assert [fit.feasibility for fit in course.fits] == [0.8, 0.4, 0.8 / 3, 0.2]
    assert [(fit.dense, fit.compressed) for fit in course.fits][1] == (0.3, 0.8)
    assert course.rollbacks == (2.5,)
    assert learned().epochs == 7.0


def test_rivers_have_a_band_a_layer_that_is_empty_while_it_is_kept() -> None:
    rivers = learned().rivers
    assert [river.title for river in rivers] == ["rank 'inp'", "rank 'middle'", "rank 'out'"]
    assert rivers[0].bands == {"conv1": (0, 5, 5, 5), "conv2": (8, 7, 6, 5)}
    assert list(rivers[0].bands) == ["conv1", "conv2"]  # in network order
    assert rivers[1].bands["conv1"] == (0, 5, 6, 7)
    assert learned(learned_history()[:11]).rivers == ()  # one C step flows nowhere


def test_the_section_tells_of_every_fit_and_every_choice() -> None:
    found = blocks(record())
    course, river, fits, choices = found.values()
    assert isinstance(course, Figure)
    assert "of 7 epochs in all" in course.caption
    assert "a red line" in course.caption
    assert isinstance(river, Figure)
    assert isinstance(fits, Table)
    assert fits.marked == {0, 1, 2}
    assert fits.rows[1] == (
        "1",
        "2",
        "0.03",
        "0.4000",
        "4,000",
        "90,000",
        "91.00",
        "0.3000",
        "81.00",
        "0.8000",
    )
    assert isinstance(choices, Table)
    assert choices.header[1] == "limit, parameters"
    assert choices.rows[0] == ("0", "5,050", "0.50", "2", "0.8000", "0.6000", "tenfold")
    assert choices.rows[2][4:] == ("0.8000", "0.8000", "allocation")
    assert len(choices.rows) == 3


def test_a_page_of_a_long_run_of_a_deep_network_is_alone_and_small() -> None:
    rows = [row for row in learned_history() if row["phase"] != "l step"]
    deep = {f"layer{n}": {"inp": 8 + n, "middle": 16, "out": 9} for n in range(60)}
    rows = [{**row, "ranks": deep} if row["phase"] == "c step" else row for row in rows]
    step = {"phase": "l step", "number": 0, "penalty": 0.1}
    rows += [{**step, "step": n, "loss": 1 + n % 7, "rate": 1 / n} for n in range(1, 20_001)]
    text = to_html(run_page(record(*rows, *history())))
    check_alone(text)
    assert len(text) < 1.5e6
    assert text == to_html(run_page(record(*rows, *history())))


def test_without_held_out_images_nothing_is_judged() -> None:
    judged = {f"{name}_{what}" for name in ("dense", "compressed") for what in ("accuracy", "loss")}
    bare = [{k: v for k, v in row.items() if k not in judged} for row in learned_history()]
    fits = list(blocks(record(*bare)).values())[2]
    assert isinstance(fits, Table)
    assert fits.rows[0][6:] == ("-", "-", "-", "-")


def test_its_search_is_that_of_the_last_choice() -> None:
    titles = [section.title for section in run_page(record()).sections]
    assert "Search of ranks, last choice" in titles


def test_other_runs_have_no_such_section() -> None:
    assert "learned" not in [section.name for section in run_page(Record("a", report())).sections]


def test_a_row_that_lacks_something_is_an_error() -> None:
    rows = [dict(row) for row in learned_history()]
    del rows[10]["feasibility"]
    with pytest.raises(RunError, match="feasibility"):
        read_history(rows)


def test_runs_are_compared_by_all_their_epochs() -> None:
    other = replace(record(), name="other", report=report())
    row = next(row for row in compare_records([record(), other]).measures if "epochs" in row.title)
    assert row.values == ("7.0", "-")
