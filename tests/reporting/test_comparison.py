from __future__ import annotations

from dataclasses import replace

from page_reading import check_alone, words
from run_samples import report
from tenfold.core.report import Measures, Report
from tenfold.reporting.blocks import Figure, Table
from tenfold.reporting.comparison import Comparison, Row, compare_records, comparison_page
from tenfold.reporting.html import to_html
from tenfold.reporting.record import Record

SMALLER = report(
    after=Measures(1_000, 90_000, 88.0, 5_000, 0.6),
    settings={**report().settings, "scheme": "tt", "out": "/b", "extra": 1},
    seconds={},
)


def record(name: str, made: Report | None) -> Record:
    return Record(name, made, settings=made.settings if made else {"scheme": "tt"})


PAIR = [record("a", report()), record("b", SMALLER)]


def row(comparison: Comparison, title: str) -> Row:
    return next(row for row in (*comparison.measures, *comparison.settings) if row.title == title)


def test_measures_stand_side_by_side_with_the_best_marked() -> None:
    found = compare_records(PAIR)
    assert found.names == ("a", "b")
    assert row(found, "test accuracy, %") == Row("test accuracy, %", ("90.00", "88.00"), frozenset({0}))
    assert row(found, "test accuracy: change, points").values == ("-1.50", "-3.50")
    assert row(found, "parameters").best == {1}
    assert row(found, "parameters: left of the original, %").values == ("25.0", "10.0")
    assert row(found, "MACs").best == {0}
    assert row(found, "latency, ms").values == ("0.400", "0.600")
    assert row(found, "time, seconds") == Row("time, seconds", ("120", "-"))
    level = row(found, "held-out accuracy, %")
    assert (level.values, level.best) == (("90.25", "90.25"), frozenset())
    assert "test accuracy of the last epoch, %" not in [x.title for x in found.measures]


def test_last_epoch_where_there_is_one() -> None:
    both = replace(report(), after_last=Measures(1, 1, 89.0))
    found = compare_records([Record("a", both), PAIR[1]])
    assert row(found, "test accuracy of the last epoch, %").values == ("89.00", "-")


def test_settings_that_differ_come_first_and_the_run_s_own_folder_is_none() -> None:
    found = compare_records(PAIR)
    assert [x.title for x in found.settings] == ["scheme", "extra", "arch", "budget", "seed"]
    assert [x.differs for x in found.settings] == [True, True, False, False, False]
    assert row(found, "extra").values == ("-", "1")


def test_a_run_that_is_not_finished_has_dashes_and_is_named() -> None:
    found = compare_records([*PAIR, record("c", None)])
    assert row(found, "parameters").values == ("2,500", "1,000", "-")
    assert row(found, "parameters").best == {1}
    assert found.unfinished == ("c is not finished, and it told nothing yet.",)


def test_page_is_alone_deterministic_and_escaped() -> None:
    records = [record("<script>", report()), PAIR[1]]
    page = comparison_page(compare_records(records), records)
    text = to_html(page)
    check_alone(text)
    assert "<script" not in text
    assert text == to_html(comparison_page(compare_records(records), records))
    measures, figures, settings = (section.blocks for section in page.sections)
    assert isinstance(measures[0], Table)
    assert measures[0].rows[0] == ("test accuracy, %", "90.00 *", "88.00")
    assert isinstance(settings[0], Table)
    assert settings[0].marked == {0, 1}
    assert isinstance(figures[0], Figure)
    assert {"&lt;script&gt;", "b", "small, original"} <= set(words(figures[0].drawing.svg()))
    assert page.lead == "2 runs; 2 of 5 settings differ."


def test_runs_of_different_networks_have_their_own_originals() -> None:
    other = report(before=Measures(9, 9, 80.0))
    records = [PAIR[0], PAIR[1], record("c", other)]
    figure = comparison_page(compare_records(records), records).sections[1].blocks[0]
    assert isinstance(figure, Figure)
    assert {"small, original 1", "small, original 2"} <= set(words(figure.drawing.svg()))


def test_without_accuracies_there_is_no_figure() -> None:
    bare = [record(name, Report(Measures(10, 5), Measures(5, 2))) for name in "ab"]
    page = comparison_page(compare_records(bare), bare)
    assert page.sections[1].blocks == ()
    check_names = to_html(page)
    assert "Accuracy and cost" not in check_names
