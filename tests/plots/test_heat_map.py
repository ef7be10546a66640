from __future__ import annotations

import re

import pytest

from page_reading import words
from run_samples import layers
from tenfold.core.plan import Choice
from tenfold.core.report import LayerReport
from tenfold.plots.heat_map import heat_map, stage_of
from tenfold.plots.theme import shade


def layer(name: str, *, params: tuple[int, int] = (100, 50), macs: tuple[int, int] = (9, 3)) -> LayerReport:
    return LayerReport(name, Choice("btd", (16, 3, 2)), "", params, macs, 0.1, 0.1)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("layer1.0.conv1", "layer1"),
        ("stages.2.blocks.0.conv", "stages.2"),
        ("features.denseblock1.denselayer2.conv1", "features.denseblock1"),
        ("features.7", "features"),
        ("head.fc", "head"),
        ("conv1", ""),
        ("3", ""),
    ],
)
def test_stage_of_usual_names(name: str, stage: str) -> None:
    assert stage_of(name) == stage


def test_cells_say_what_is_left() -> None:
    text = heat_map("m", [layer("layer1.0.conv")]).svg()
    found = words(text)
    assert {"layer1", "0.conv", "50 %", "33 %", "btd", "16×3×2"} <= set(found)
    assert f"fill: {shade(0.5)[0]}" in text
    assert f"fill: {shade(1 / 3)[0]}" in text
    assert "left of the original layer, %" in found


def test_kept_layers_and_layers_that_never_ran() -> None:
    kept = LayerReport("fc", None, "kept", (10, 10), (5, 5), 0.0, 0.0)
    assert words(heat_map("m", [kept]).svg()).count("kept") == 2
    found = words(heat_map("m", [layer("a", macs=(0, 0))]).svg())
    assert "–" in found
    assert "50 %" in found


def test_lines_of_a_deep_network_are_wrapped_in_order() -> None:
    found = words(heat_map("m", [layer(f"layer1.{n}.c") for n in range(30)]).svg())
    assert [text for text in found if text.endswith(".c")] == [f"{n}.c" for n in range(30)]
    assert found.count("layer1") == 1
    assert found.count("MACs") == 3  # lines of at most twelve


def test_figure_grows_with_the_network_and_cells_do_not_shrink() -> None:
    def box(count: int) -> list[float]:
        text = heat_map("m", [layer(f"layer1.{n}.c") for n in range(count)]).svg()
        return [float(part) for part in re.findall(r'viewBox="0 0 (\S+) (\S+)"', text)[0]]

    assert box(12)[0] == box(60)[0]
    assert box(60)[1] - box(24)[1] == pytest.approx(3 * (box(24)[1] - box(12)[1]))  # a line each
    assert box(1)[0] < box(12)[0] < 9.7 * 72


def test_long_names_are_cut_to_the_cell() -> None:
    found = words(heat_map("m", [layer("layer1.0.a_very_long_name_of_a_layer.conv")]).svg())
    assert any("…" in text and len(text) <= 12 for text in found)


def test_same_bytes() -> None:
    assert heat_map("m", layers()).svg() == heat_map("m", layers()).svg()
