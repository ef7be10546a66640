from __future__ import annotations

import json

import pytest

from tenfold.core.errors import RunError
from tenfold.core.plan import Choice
from tenfold.core.report import LayerReport, Measures, Report

REPORT = Report(
    before=Measures(params=1000, macs=5000, accuracy=91.73, size_bytes=4000, latency_ms=1.5),
    after=Measures(params=200, macs=1000),
    layers=(
        LayerReport("conv", Choice("btd", (16, 3, 3)), "", (900, 100), (4000, 500), 0.25, 1.5),
        LayerReport("fc", None, "kept: depthwise", (100, 100), (1000, 1000), 0.0, 0.0),
    ),
    settings={"budget": {"params": 0.2}, "seed": 0},
    seconds={"fit": 1.25},
    versions={"torch": "2.13"},
    history=({"epoch": 1, "loss": 0.5},),
)


def test_json_there_and_back():
    assert Report.from_json(REPORT.to_json()) == REPORT
    empty = Report(before=REPORT.before, after=REPORT.after)
    assert Report.from_json(empty.to_json()) == empty


def test_json_has_what_others_read():
    rows = json.loads(REPORT.to_json())
    assert rows["before"] == {
        "params": 1000,
        "macs": 5000,
        "accuracy": 91.73,
        "size_bytes": 4000,
        "latency_ms": 1.5,
    }
    assert rows["after"]["accuracy"] is None
    assert rows["layers"][0]["choice"] == {"scheme": "btd", "rank": [16, 3, 3]}
    assert {"settings", "layers", "seconds", "versions"} <= rows.keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "3",
        REPORT.to_json()[:-20],
        REPORT.to_json().replace('"macs"', '"flops"'),
        REPORT.to_json().replace('"seed"', '"seed'),
        REPORT.to_json().replace('"seconds"', '"minutes"'),
    ],
)
def test_what_is_no_report(text):
    with pytest.raises(RunError, match=r"no report\.json"):
        Report.from_json(text)


def test_two_reports_share_nothing():
    first, second = (Report(before=REPORT.before, after=REPORT.after) for _ in range(2))
    first.settings["a"] = 1
    assert second.settings == {}
