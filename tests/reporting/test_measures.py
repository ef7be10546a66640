from __future__ import annotations

from dataclasses import fields

from tenfold.core.report import Measures
from tenfold.reporting.measures import MEASURES, compared, written


def test_every_figure_of_a_network_is_a_measure() -> None:
    assert {measure.name for measure in MEASURES} == {field.name for field in fields(Measures)}
    full = Measures(1, 2, 3.0, 4, 5.0)
    assert [measure.of(full) for measure in MEASURES] == [3.0, 1, 2, 4, 5.0]
    assert {measure.of(None) for measure in MEASURES} == {None}


def test_accuracy_compares_by_difference_the_rest_by_ratio() -> None:
    assert [measure.name for measure in MEASURES if measure.points] == ["accuracy"]
    assert compared(90.0, 91.25, points=True) == "+1.25 points"
    assert compared(200, 50) == "0.250"
    assert compared(None, 5) == compared(5, None) == compared(0, 5) == "-"
    assert written(None, ".2f") == "-"
