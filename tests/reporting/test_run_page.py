from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from page_reading import check_alone
from run_samples import history, layers, report, search
from tenfold.core.plan import Choice, Plan
from tenfold.core.report import LayerReport, Measures, Report
from tenfold.reporting.blocks import Figure, Page, Table
from tenfold.reporting.html import to_html
from tenfold.reporting.record import Record
from tenfold.reporting.run_page import run_page, setting_text
from tenfold.reporting.search import read_search


def record(**changes: Any) -> Record:
    made = report(**changes)
    return Record("first", made, settings=made.settings, search=read_search(json.dumps(search())))


def blocks(page: Page, name: str) -> list[Figure | Table]:
    return [block for section in page.sections if section.name == name for block in section.blocks]


def tables(page: Page, name: str) -> list[Table]:
    return [block for block in blocks(page, name) if isinstance(block, Table)]


def figures(page: Page) -> dict[str, Figure]:
    found = [b for section in page.sections for b in section.blocks if isinstance(b, Figure)]
    assert len(found) == len({figure.drawing.name for figure in found})
    return {figure.drawing.name: figure for figure in found}


def test_page_of_a_full_run_is_whole_alone_and_small() -> None:
    page = run_page(record())
    text = to_html(page)
    check_alone(text)
    assert len(text) < 1.5e6
    assert set(figures(page)) == {
        "plan-map",
        "rise-bars",
        "recovery-curve",
        "training-curve",
        "search-trace",
        "search-importance",
        "search-front",
        "search-slice",
    }
    assert all(section.blocks for section in page.sections)
    assert text == to_html(run_page(record()))


def test_every_figure_has_a_caption_of_one_sentence_and_is_named_by_it() -> None:
    text = to_html(run_page(record()))
    for name, figure in figures(run_page(record())).items():
        assert figure.caption.endswith(".")
        assert ". " not in figure.caption
        assert f'aria-labelledby="{name}-caption"' in figure.drawing.svg()
        assert f'<figcaption id="{name}-caption">' in text


def test_long_trainings_searches_and_deep_networks_stay_below_a_megabyte_and_a_half() -> None:
    rows = [
        {"phase": "training", "step": n, "epoch": n / 400, "loss": 2 + (n * 7919 % 101) / 50, "rate": 0.1 / n}
        for n in range(1, 40_001)
    ]
    whole = record(history=(*history(), *rows), layers=layers(75))
    whole = replace(whole, search=read_search(json.dumps(search(3000))))
    assert len(to_html(run_page(whole))) < 1.5e6


def test_before_and_after_with_the_last_epoch_beside_what_was_chosen() -> None:
    (measured, judged) = tables(run_page(record()), "result")
    assert measured.header == ("", "before", "after", "after / before")
    assert measured.rows[0] == ("test accuracy, %", "91.50", "90.00", "-1.50 points")
    assert measured.rows[1] == ("parameters", "10,000", "2,500", "0.250")
    assert judged.rows[1] == ("recovered", "88.00", "0.3000")
    plain = report()
    both = replace(plain, after_last=Measures(2500, 80_000, 89.0))
    measured = tables(run_page(Record("first", both)), "result")[0]  # type: ignore[arg-type]
    assert measured.header[-1] == "last epoch"
    assert measured.rows[0][-1] == "89.00"
    assert measured.rows[3][-1] == "-"


def test_lead_says_what_is_left() -> None:
    lead = run_page(record()).lead
    assert lead.startswith("arch small, scheme btd, budget params = 0.25.")
    assert "25.0 % of the parameters, 40.0 % of the MACs" in lead
    assert lead.endswith("Test accuracy 90.00 %, -1.50 points from 91.50 %.")
    bare = Report(Measures(10, 0), Measures(5, 0))
    assert run_page(Record("bare", bare)).lead == "What is left: 50.0 % of the parameters."


def test_layers_are_listed_with_what_is_left_and_why_they_were_kept() -> None:
    (table,) = tables(run_page(record()), "plan")
    assert table.rows[0][:7] == ("conv1", "btd", "4×1×1", "400", "75.0", "4,000", "75.0")
    assert table.rows[-1][1] == "kept"
    assert table.rows[-1][-3:] == ("-", "-", "kept: a chain would cost more than it saves here")


def test_predicted_and_measured_rises_where_they_were_measured() -> None:
    assert "rise-scatter" not in figures(run_page(record()))
    rows = [replace(x, measured_rise=x.predicted_rise * 2) for x in layers()]
    rows[1] = replace(rows[1], measured_rise=-0.1)  # a logarithmic axis has no place for it
    page = run_page(record(layers=tuple(rows)))
    caption = figures(page)["rise-scatter"].caption
    assert "rank correlation 1.00" in caption
    assert "1 without a rise above 0 left out" in caption


def test_rises_that_are_no_numbers_break_no_figure() -> None:
    first = replace(layers()[0], predicted_rise=float("nan"))
    second = LayerReport("x", Choice("svd", (2,)), "", (0, 0), (0, 0), 0.0, float("inf"))
    page = run_page(record(layers=(first, second, *layers()[1:])))
    assert "rise-bars" in figures(page)


def test_training_shows_cycles_and_rollbacks() -> None:
    page = run_page(record())
    cycles, rollbacks = tables(page, "training")
    assert cycles.marked == {1}
    assert cycles.rows[1] == ("2", "80", "4", "90.25", "0.2437", "chosen")
    assert rollbacks.rows == (("55", "0.005", "the loss was NaN"),)
    assert "in 3 cycles" in figures(page)["training-curve"].caption


def test_search_counts_how_trials_ended() -> None:
    caption = figures(run_page(record()))["search-trace"].caption
    assert "21 complete, 6 pruned, 3 failed" in caption


def test_time_settings_and_versions() -> None:
    page = run_page(replace(record(), meanings={"seed": "Seed of everything."}))
    (times,) = tables(page, "time")
    assert times.rows == (("plan", "30.0", "25.0"), ("recover", "90.0", "75.0"), ("in all", "120.0", ""))
    (settings,) = tables(page, "settings")
    assert [row[0] for row in settings.rows] == list(report().settings)
    assert ("seed", "0", "Seed of everything.") in settings.rows
    assert tables(page, "versions")[0].rows == (("python", "3.11.2"), ("torch", "2.13.0"))


def test_what_is_not_there_leaves_no_empty_section() -> None:
    text = to_html(run_page(Record("bare", Report(Measures(10, 0), Measures(5, 0)))))
    assert text.count("<section") == 1
    assert "None" not in text


def test_a_run_that_is_not_finished_shows_what_there_is() -> None:
    plan = Plan({"conv": Choice("btd", (4, 2, 2)), "fc": None})
    event = {"phase": "recover", "done": 250, "total": 500}
    page = run_page(Record("half", plan=plan, settings={"seed": 3}, last=event))
    assert page.notice == "This run is not finished; the last it told: recover, 250 of 500."
    assert tables(page, "plan")[0].rows == (("conv", "btd", "4×2×2"), ("fc", "kept", ""))
    assert "This run is not finished" in to_html(page)
    assert "told nothing" in run_page(Record("empty")).notice


def test_names_are_escaped_everywhere() -> None:
    evil = '<script>alert("1")</script>'
    named = tuple(
        replace(layer, name=f"{evil}.{layer.name}", reason=layer.reason and evil) for layer in layers()
    )
    found = json.dumps(search()).replace("layer1", evil.replace('"', '\\"'))
    whole = Record(
        evil,
        report(layers=named, settings={evil: evil, "arch": evil}, seconds={evil: 1.0}, versions={evil: evil}),
        settings={evil: {evil: [evil]}, "arch": evil},
        meanings={evil: evil},
        search=read_search(found),
    )
    text = to_html(run_page(whole))
    check_alone(text)
    assert "<script" not in text
    assert "alert(&#34;1&#34;)" in text


def test_names_that_are_no_text_can_be_written() -> None:
    assert "?" in to_html(run_page(Record("\udcff", report()))).encode("utf-8").decode("utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        ({}, "not set"),
        ([], "not set"),
        (False, "false"),
        (2e-3, "0.002"),
        ([1, 2], "1, 2"),
    ],
)
def test_setting_text(value: object, text: str) -> None:
    assert setting_text(value) == text
