from __future__ import annotations

from page_reading import words
from tenfold.core.report import Measures
from tenfold.plots.comparison import accuracy_figure, drawable_costs

FULL = Measures(100, 2_000_000, 90.0, 500, 0.5)


def test_a_cost_is_drawn_if_two_runs_know_it() -> None:
    partly = Measures(50, 1_000_000, 89.0)
    assert drawable_costs({"a": FULL, "b": partly}) == ("params", "macs")
    assert drawable_costs({"a": FULL, "b": Measures(50, 100)}) == ()  # no accuracy
    assert drawable_costs({"a": FULL, "b": FULL}) == ("params", "macs", "size_bytes", "latency_ms")


def test_each_panel_names_its_cost_and_the_legend_each_network_once() -> None:
    text = accuracy_figure("c", {"first": FULL, "<second>": Measures(50, 900_000, 88.0)}, {"net": FULL}).svg()
    found = words(text)
    assert {"parameters", "MACs", "test accuracy, %"} <= set(found)
    assert "latency, ms" not in found
    assert [found.count(name) for name in ("first", "&lt;second&gt;", "net")] == [1, 1, 1]
    assert any(tick.endswith(" M") for tick in found)


def test_many_runs_differ_in_colour_or_shape() -> None:
    runs = {f"run{n}": Measures(10 + n, 100, 90.0 + n) for n in range(40)}
    text = accuracy_figure("c", runs, {}).svg()
    markers = {line for line in text.split("<use ")[1:] if "y=" in line}
    looks = {(m.split('"')[1], m.split("fill: ")[1].split(";")[0].split('"')[0]) for m in markers}
    assert len(looks) >= 36
