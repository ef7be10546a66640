from __future__ import annotations

import re

import pytest

from page_reading import numbers, words
from tenfold.plots.river import River, _turns, river_figure

RIVERS = (
    River("rank 'inp'", {"first": (8.0, 8.0, 4.0), "middle": (0.0, 0.1, 0.1), "last": (2.0, 4.0, 4.0)}),
    River("rank 'out'", {"first": (6.0, 5.0, 4.0)}),
)


def test_a_panel_a_river_with_the_names_of_bands_that_are_wide_enough() -> None:
    text = river_figure("r", RIVERS, [0, 1, 2], "epoch")
    assert {"rank 'inp'", "rank 'out'", "epoch", "first", "last"} <= set(words(text))
    assert "middle" not in words(text)
    assert words(text).count("first") == 2


def test_widths_hold_until_shortly_before_they_change() -> None:
    assert _turns([0, 1, 3]) == pytest.approx([0, 0.65, 1, 2.3, 3])


def test_the_first_band_is_at_the_top() -> None:
    text = river_figure("r", RIVERS[:1], [0, 1, 2], "epoch")
    position = {
        name: float(re.search(rf'y="(-?[\d.]+)"[^>]*>{name}<', text)[1])  # type: ignore[index]
        for name in ("first", "last")
    }
    assert position["first"] < position["last"]


def test_deep_networks_stay_small() -> None:
    deep = River("rank", {f"layer{n}": tuple(float(k % 9) for k in range(20)) for n in range(80)})
    # A band goes there and back over two points a place, and closes.
    most = 80 * (2 * 2 * 2 * 20 + 10)
    assert numbers(river_figure("r", [deep], list(range(20)), "epoch")) < most
