from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from tenfold.cli.render import (
    comparison_table,
    export_table,
    inspection_table,
    progress_bars,
    report_table,
    show,
)
from tenfold.core.plan import Choice
from tenfold.core.report import Measures, Report
from tenfold.deploy.verify import Latency
from tenfold.jobs.export import Exported, File
from tenfold.jobs.inspect import Inspection, Prediction
from tenfold.layers.census import census
from tenfold.reporting.comparison import Comparison, Row


def cells(table: Table) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]  # type: ignore[arg-type]


def test_report_compares_both_sides() -> None:
    before = Measures(2000, 1_000_000, 90.0, 8000, 0.5)
    after = Measures(500, 250_000, 89.5, 2400, 0.25)
    assert cells(report_table(Report(before, after))) == [
        ["test accuracy, %", "90.00", "89.50", "-0.50 points"],
        ["parameters", "2,000", "500", "0.250"],
        ["MACs", "1,000,000", "250,000", "0.250"],
        ["ONNX file, bytes", "8,000", "2,400", "0.300"],
        ["latency, ms", "0.500", "0.250", "0.500"],
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    rows = cells(report_table(Report(Measures(10, 0), Measures(5, 0))))
    assert rows[0][1:] == ["-", "-", "-"]
    assert rows[2][1:] == ["0", "0", "-"]


def test_export_with_and_without_an_original() -> None:
    latency = Latency(0.5, (0.4, 0.6), 50, 1, 1)
    exported = Exported(Path("x"), 1e-6, File(100, latency), None, "no file")
    table = export_table(exported)
    assert cells(table)[0] == ["ONNX file, bytes", "-", "100", "-"]
    assert str(table.caption).endswith("from torch: 1.0e-06; no original: no file")
    both = Exported(Path("x"), 1e-6, File(100, latency), File(400, latency), "")
    assert cells(export_table(both)) == [
        ["ONNX file, bytes", "400", "100", "0.250"],
        ["latency, ms", "0.500", "0.500", "1.000"],
    ]


def test_layers_and_what_becomes_of_them() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 8, (3, 1)), nn.Conv2d(8, 8, 1, groups=8), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
    )
    counted = census(net, torch.zeros(1, 4, 6, 6))
    rows = cells(inspection_table(Inspection("net", counted)))
    assert rows[0] == ["0", "Conv2d 4 -> 8, 3x1", "6x6", "104", "2,304", "yes"]
    assert rows[1][1] == "Conv2d 8 -> 8, 1x1, 8 groups"
    assert rows[1][-1].startswith("no, ")
    assert rows[-1] == ["whole network", "", "", "264", "5,568", ""]

    choices = {"0": Choice("svd", (2,)), "1": None, "2": None, "3": Choice("btd", (2, 3, 1))}
    params, macs = dict.fromkeys(choices, 7), dict.fromkeys(choices, 9)
    prediction = Prediction(choices, params, macs, 28, 36, 0.125)
    rows = cells(inspection_table(Inspection("net", counted, prediction)))
    assert rows[0][-3:] == ["svd 2", "7", "9"]
    assert rows[2][-3:] == ["kept: no chain is worth it here", "7", "9"]
    assert rows[3][-3] == "btd 2x3x1"
    assert rows[-1][-3:] == ["predicted rise 0.125", "28", "36"]


def test_comparison_has_a_column_a_run_and_only_settings_that_differ() -> None:
    measures = (Row("parameters", ("100", "-", "80"), frozenset({2})),)
    settings = (Row("scheme", ("btd", "tt", "[red]"), differs=True), Row("seed", ("0", "0", "0")))
    table = comparison_table(Comparison(("a", "[bold]b", "c"), measures, settings, ()))
    assert [str(column.header) for column in table.columns] == ["", "a", "[bold]b", "c"]
    first, second = cells(table)
    assert [str(text) for text in first] == ["parameters", "100", "-", "80"]
    assert [getattr(text, "style", "") for text in first[1:]] == ["", "", "bold"]
    assert [str(text) for text in second] == ["scheme", "btd", "tt", "[red]"]
    assert str(table.caption).startswith("settings alike: 1; ")


def test_table_goes_to_stdout_and_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("x" * 130)
    show(table)
    out, err = capsys.readouterr()
    assert "x" * 130 in out
    assert err == ""


def test_bars_go_to_stderr_one_a_phase(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal
    with progress_bars() as tell:
        tell("fit", 1, 4)
        tell("fit", 4, 4)
        tell("mine", 0, 2)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    assert "factorising" in err
    assert "4/4" in err
    assert "mine" in last or "mine" in err


def test_no_bars_where_no_one_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert not Console(stderr=True).is_terminal
    with progress_bars() as tell:
        tell("fit", 1, 4)
    assert capsys.readouterr() == ("", "")
