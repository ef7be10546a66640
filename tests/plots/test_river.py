from __future__ import annotations

import re
from statistics import fmean

import pytest

from page_reading import numbers, words
from tenfold.plots.river import River, _turns, river_figure
from tenfold.plots.theme import shade

RIVERS = (
    River("rank 'inp'", {"first": (8.0, 8.0, 4.0), "middle": (0.0, 0.1, 0.1), "last": (2.0, 4.0, 4.0)}),
    River("rank 'out'", {"first": (6.0, 5.0, 4.0)}),
)


def test_a_panel_a_river_with_the_names_of_bands_that_are_wide_enough() -> None:
    text = river_figure("r", RIVERS, [0, 1, 2], "epoch").svg()
    assert {"rank 'inp'", "rank 'out'", "epoch", "first", "last"} <= set(words(text))
    assert "middle" not in words(text)
    assert words(text).count("first") == 2


def test_widths_hold_until_shortly_before_they_change() -> None:
    assert _turns([0, 1, 3]) == pytest.approx([0, 0.65, 1, 2.3, 3])


def heights(svg: str, colour: str) -> list[float]:
    """Of the corners of the band of a colour, from the top of the figure down."""
    (name, shift) = re.findall(rf'<use href="#([^"]*)" x="0" y="([^"]*)" style="fill: {colour}', svg)[0]
    band = re.search(rf'<path id="{name}" d="([^"]*)"', svg)
    assert band is not None
    return [float(y) + float(shift) for y in re.findall(r"[ML] -?[\d.]+ (-?[\d.]+)", band[1])]


def test_the_first_band_is_at_the_top_and_each_carries_its_own_name() -> None:
    text = river_figure("r", RIVERS[:1], [0, 1, 2], "epoch").svg()
    bands = {name: heights(text, shade(place)[0]) for name, place in (("first", 0), ("last", 1))}
    assert fmean(bands["first"]) < fmean(bands["last"])
    # The corners of a band begin and end at the first place, one below and the next one above.
    widths = [abs(corners[0] - corners[1]) for corners in bands.values()]
    assert widths[0] / widths[1] == pytest.approx(8 / 2, rel=1e-2)
    for name, corners in bands.items():
        label = re.search(rf' y="(-?[\d.]+)"[^>]*>{name}<', text)
        assert label is not None
        assert min(corners) < float(label[1]) < max(corners)


def test_deep_networks_stay_small() -> None:
    deep = River("rank", {f"layer{n}": tuple(float(k % 9) for k in range(20)) for n in range(80)})
    # A band goes there and back over two points a place, and closes.
    most = 80 * (2 * 2 * 2 * 20 + 10)
    assert numbers(river_figure("r", [deep], list(range(20)), "epoch").svg()) < most
