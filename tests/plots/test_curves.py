from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np

from page_reading import numbers, words
from tenfold.plots.curves import Curve, Point, Snapshot, curve_figure, cycle_ends
from tenfold.plots.thinned import binned, corners


def curve(rates: list[float], **more: object) -> Curve:
    points = tuple(Point(n, 1 / n, rate) for n, rate in enumerate(rates, start=1))
    return Curve(points, **more)  # type: ignore[arg-type]


def cosine(cycles: int, steps: int) -> list[float]:
    return [0.1 * (1 + math.cos(math.pi * n / steps)) for _ in range(cycles) for n in range(steps)]


def test_cycles_end_where_the_rate_starts_anew() -> None:
    assert cycle_ends(curve(cosine(3, 10))) == (10, 20)


def test_triangular_cycles_end_at_the_bottom() -> None:
    up_and_down = [1, 2, 3, 4, 3, 2]
    assert cycle_ends(curve([*up_and_down, *up_and_down, *up_and_down])) == (7, 13)


def test_one_warm_up_a_constant_rate_and_steps_down_are_one_cycle() -> None:
    assert cycle_ends(curve([1, 2, 3, 2, 1])) == ()
    assert cycle_ends(curve([0.1] * 9)) == ()
    assert cycle_ends(curve([0.1, 0.1, 0.01, 0.01, 0.001])) == ()


def test_snapshots_know_better_and_the_last_step_ends_no_cycle() -> None:
    snapshots = (Snapshot(4, 90.0, False), Snapshot(10, 91.0, True))
    assert cycle_ends(curve([0.1] * 10, snapshots=snapshots)) == (4,)


def test_figure_marks_the_cycles_the_rate_and_the_chosen_snapshot() -> None:
    snapshots = (Snapshot(10, 90.0, False), Snapshot(15, 91.0, True), Snapshot(20, 90.5, False))
    full = curve(cosine(2, 10), snapshots=snapshots, rollbacks=(13,), start=88.0)
    text = curve_figure("c", full, loss="loss, nats").svg()
    assert {"loss, nats", "learning rate", "step", "held-out accuracy, %"} <= set(words(text))
    assert {"end of a cycle", "chosen", "before"} <= set(words(text))
    assert words(text).count("rollback") == 2  # in both panels
    plain = curve_figure("c", replace(full, snapshots=(), rollbacks=()), loss="loss").svg()
    assert not {"chosen", "rollback", "held-out accuracy, %"} & set(words(plain))
    stars = re.findall(r'<use [^>]*x="([^"]*)"[^>]*series-5', text)
    dots = re.findall(r'<use [^>]*x="([^"]*)"[^>]*series-3', text)
    assert stars[0] == dots[1]
    assert len(stars) == 2  # and one in the legend
    lines = "stroke-dasharray: 1.6,2.4"  # (2, 3) times a width of 0.8: the end of a cycle
    assert text.count(lines) == 2 * 2
    assert plain.count(lines) == 1


def test_losses_that_are_no_numbers_are_left_out() -> None:
    points = (Point(1, 2.0, 0.1), Point(2, math.nan, 0.1), Point(3, math.inf, 0.1), Point(4, 1.0, 0.1))
    text = curve_figure("c", Curve(points), loss="loss").svg()
    assert "nan" not in text
    line = re.findall(r'd="([^"]*)"[^>]*stroke: var\(--series-1\); stroke-width: 1.4', text)[0]
    assert re.findall("[ML]", line) == ["M", "L"]
    assert curve_figure("c", Curve((Point(1, math.nan, 0.1),)), loss="loss").svg()


def test_bins_keep_means_and_extremes() -> None:
    steps = np.arange(1.0, 1001.0)
    values = np.where(steps == 700, 50.0, steps % 2)
    middle, mean, low, high = binned(steps, values)
    assert len(middle) == 250
    assert middle[0] == 2.5  # of steps 1 to 4
    assert mean[0] == 0.5
    assert (low.min(), high.max()) == (0.0, 50.0)
    same = binned(steps[:250], values[:250])
    assert all(len(part) == 250 for part in same)
    assert np.array_equal(same[1], values[:250])


def test_corners_keep_every_jump_of_a_rate() -> None:
    rates = np.array(cosine(7, 1000))
    places = list(corners(rates))
    assert places == sorted(set(places))
    assert len(places) <= 1000
    assert {0, 999, 1000, 1999, 6999} <= set(places)
    assert list(corners(rates[:500])) == list(range(500))


def test_long_trainings_are_no_heavier() -> None:
    generator = np.random.default_rng(0)

    def weight(steps: int) -> int:
        noise = generator.uniform(0.5, 1.5, steps)
        points = tuple(Point(n, float(x), 0.1) for n, x in enumerate(noise, start=1))
        return numbers(curve_figure("c", Curve(points), loss="loss").svg())

    assert weight(20_000) < 1.5 * weight(2_000)
