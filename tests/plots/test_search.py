from __future__ import annotations

import re

import pytest

from page_reading import words
from tenfold.plots.search import Slice, Solution, Trial, _levels, front_figure, slice_figure, trace_figure


def trials(count: int) -> list[Trial]:
    return [Trial(n, "complete", Solution(1.0, 90.0, {"params": 10.0 + n}), 1.0) for n in range(count)]


def dots(text: str, series: int) -> int:
    return len(re.findall(rf"<use [^>]*fill: var\(--series-{series}\)", text))


def test_trace_shows_how_each_trial_ended() -> None:
    mixed = [*trials(3), Trial(3, "pruned", Solution(2.0), 1.0), Trial(4, "failed", None, 1.0)]
    text = trace_figure("t", mixed).svg()
    assert {"best so far", "complete", "pruned", "failed", "trial", "held-out loss, nats"} <= set(words(text))
    assert dots(text, 1) == 3 + 1  # and one in the legend
    assert dots(text, 5) == 1 + 1
    assert not {"pruned", "failed"} & set(words(trace_figure("t", trials(3)).svg()))


def test_best_so_far_never_jumps_ahead() -> None:
    text = trace_figure(
        "t", [Trial(n, "complete", Solution(x), x) for n, x in enumerate((3.0, 1.0, 1.0))]
    ).svg()
    steps = re.findall(r'd="M ([^"]*)"[^>]*stroke: var\(--series-1\); stroke-width: 1.4', text)[0]
    corners = [tuple(map(float, part.split())) for part in steps.split("L ")]
    (_, y0), (x1, y1), (x2, y2) = corners[:3]
    assert y0 == y1  # level until the second trial
    assert x1 == x2
    assert y2 > y1  # down on the screen


def test_only_failures_are_a_figure_too() -> None:
    assert "failed" in words(trace_figure("t", [Trial(0, "failed", None, None)]).svg())


def test_thousands_of_trials_are_thinned() -> None:
    assert dots(trace_figure("t", trials(2500)).svg(), 1) == pytest.approx(
        834, abs=1
    )  # every third, and the legend


def test_front_has_a_panel_a_cost_that_all_know() -> None:
    front = [
        Solution(0.5, 90.0, {"params": 10.0, "macs": 5e6}),
        Solution(0.4, 91.0, {"params": 20.0, "macs": 9e6}),
    ]
    text = front_figure("f", front, trials(5)).svg()
    assert {"parameters", "MACs", "held-out accuracy, %", "trial", "front"} <= set(words(text))
    assert dots(text, 3) == 2 * 2 + 1
    partly = [*front, Solution(0.3, None, {"params": 30.0})]
    found = words(front_figure("f", partly, []).svg())
    assert "MACs" not in found
    assert "held-out loss, nats" in found


def test_slice_puts_the_first_dimension_across() -> None:
    part = Slice(
        ("a", "b"), (0.0, 1.0, 2.0), (10.0, 20.0), ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)), ((1.0, 1.0),) * 3
    )
    text = slice_figure("s", part).svg()
    found = words(text)
    assert found.count("a") == 2
    assert found.count("b") == 1
    assert {"mean of the log loss", "standard deviation of the log loss"} <= set(found)
    # the mean rises with a alone: ten upright bands, each between two of the levels
    bands = set(re.findall(r"fill: (#[0-9a-f]{6})", text))
    assert len(bands) == 10


def test_levels_span_the_values_and_are_never_empty() -> None:
    assert _levels([[0.0, 5.0], [10.0, 1.0]]) == [float(n) for n in range(11)]
    flat = _levels([[3.0, 3.0]])
    assert flat == sorted(set(flat))
