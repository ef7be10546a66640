from __future__ import annotations

import re

import pytest

from page_reading import words
from tenfold.plots.layers import Rise, bars, predicted_against_measured, rank_correlation


def test_bars_stand_in_order_and_are_as_long_as_their_values() -> None:
    text = bars("b", {"first": 4.0, "second": 1.0}, "rise, units").svg()
    found = words(text)
    high = {name: float(y) for y, name in re.findall(r'y="([^"]*)"[^>]*>(first|second)<', text)}
    assert high["first"] < high["second"]
    assert "rise, units" in found
    paths = re.findall(r'<path d="([^"]*)"[^>]*var\(--series-1\)', text)
    spans = []
    for path in paths:
        across = [float(x) for x in re.findall(r"[ML] (\S+)", path)]
        spans.append(max(across) - min(across))
    assert spans[0] == pytest.approx(4 * spans[1], rel=1e-3)  # numbers have two decimals


def test_points_lie_where_both_say() -> None:
    text = predicted_against_measured("s", [Rise("a", 0.1, 0.1), Rise("b", 1.0, 4.0)], "rise").svg()
    points = [
        (float(x), float(y))
        for x, y in re.findall(r'<use href="[^"]*" x="(\S+)" y="(\S+)" [^>]*series-1', text)
    ]
    line = re.findall(r'd="M (\S+) (\S+) \nL (\S+) (\S+) \n"[^>]*stroke-dasharray', text)[0]
    x0, y0, x1, y1 = map(float, line)

    def above(point: tuple[float, float]) -> float:
        """Pixels above the line on which a prediction is right."""
        return y0 + (point[0] - x0) / (x1 - x0) * (y1 - y0) - point[1]

    assert len(points) >= 2
    assert above(points[0]) == pytest.approx(0, abs=0.05)
    assert above(points[1]) > 20


def test_scatter_names_axes_and_the_layers_that_are_farthest() -> None:
    rises = [Rise(f"layer{n}", 1.0 + n, (1.0 + n) * (3.0 if n == 4 else 1.01)) for n in range(9)]
    found = words(predicted_against_measured("s", rises, "rise, nats").svg())
    assert {"predicted rise, nats", "measured rise, nats", "layer4"} <= set(found)
    assert sum(text.startswith("layer") for text in found) == 5
    assert not [text for text in found if "$" in text]


def test_rank_correlation_looks_at_order_alone() -> None:
    rises = [Rise("", 1.0, 10.0), Rise("", 2.0, 11.0), Rise("", 3.0, 900.0)]
    assert rank_correlation(rises) == 1.0
    assert rank_correlation([Rise("", -x.predicted, x.measured) for x in rises]) == -1.0
    assert rank_correlation(rises[:2]) is None
    assert rank_correlation([Rise("", 1.0, x.measured) for x in rises]) is None
