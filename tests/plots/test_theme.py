from __future__ import annotations

import re
from io import BytesIO

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageColor

from page_reading import words
from tenfold.plots.theme import COLOURS, INK, SERIES, Drawing, log_if_wide, shade


def paint(figure: Figure) -> None:
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 3, 2], "o-", color=SERIES[0], label='<b> & $x$ id="a" #010a01 日本')
    axes.fill_between([1, 2], [1, 2], color=SERIES[1])
    axes.legend()


def test_same_input_gives_the_same_bytes() -> None:
    assert Drawing("a", (4, 3), paint).svg() == Drawing("a", (4, 3), paint).svg()


def test_names_stay_text_and_are_escaped() -> None:
    text = Drawing("a", (4, 3), paint).svg()
    assert '&lt;b&gt; &amp; $x$ id="a" #010a01 日本' in words(text)
    assert "<b>" not in text


def test_every_id_is_used_and_is_the_figure_s_own() -> None:
    text = Drawing("mine", (4, 3), paint).svg()
    tags = "".join(re.findall(r"<[^>]*>", text))
    ids = re.findall(r' id="([^"]*)"', tags)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', tags))
    assert ids
    assert set(ids) == used
    assert len(ids) == len(used)
    assert all(name.startswith("mine-") for name in ids)


def test_colours_are_the_page_s_and_nothing_of_the_file_is_left() -> None:
    text = Drawing("a", (4, 3), paint).svg()
    tags = "".join(re.findall(r"<[^>]*>", text))
    assert {"var(--ink)", "var(--paper)", "var(--grid)", "var(--series-1)"} <= set(
        re.findall(r"var\(--[^)]*\)", tags)
    )
    assert "#010" not in tags
    for rest in ("http", "<?xml", "<!DOCTYPE", "metadata", "<style", "DejaVu", "xlink"):
        assert rest not in text
    assert 'aria-labelledby="a-caption"' in text
    assert "max-width: 400px" in text
    assert not re.search(r"\d\.\d{3}", tags)


def test_a_picture_has_the_colours_and_the_dots_it_was_asked_for() -> None:
    def filled(figure: Figure) -> None:
        for place, colour in enumerate((INK, *SERIES)):
            figure.add_artist(Rectangle((place / 7, 0), 1 / 7, 0.5, facecolor=colour))

    for dots, shift in ((50, 0), (50, 9), (100, 0)):
        colours = {name: f"#{16 * number + shift:02x}8040" for number, name in enumerate(COLOURS)}
        data = Drawing("a", (7, 2), filled).png(colours, dots)
        assert data == Drawing("a", (7, 2), filled).png(colours, dots)
        with Image.open(BytesIO(data)) as image:
            assert image.size == (7 * dots, 2 * dots)
            pixels = image.convert("RGB").load()
        middles = [pixels[dots * place + dots // 2, 3 * dots // 2] for place in range(7)]
        assert middles == [ImageColor.getrgb(colours[name]) for name in ("ink", *COLOURS[4:])]
        assert pixels[3 * dots, dots // 2] == ImageColor.getrgb(colours["paper"])
    assert "var(--series-6)" in Drawing("a", (7, 2), filled).svg()


def test_drawing_leaves_the_style_of_others_alone() -> None:
    with mpl.rc_context({"text.color": "red", "svg.fonttype": "path"}):
        Drawing("a", (4, 3), paint).svg()
        assert (mpl.rcParams["text.color"], mpl.rcParams["svg.fonttype"]) == ("red", "path")


def test_shades_darken_and_stay_readable() -> None:
    def light(colour: str) -> float:
        return sum(int(colour[n : n + 2], 16) for n in (1, 3, 5))

    fills = [light(shade(fraction)[0]) for fraction in (0.0, 0.15, 0.35, 0.55, 0.75, 1.0)]
    assert fills == sorted(fills, reverse=True)
    assert len(set(fills)) == len(fills)
    assert shade(-1) == shade(0)
    assert shade(7) == shade(1)
    assert all(abs(light(fill) - light(ink)) > 250 for fill, ink in map(shade, (0, 0.2, 0.5, 0.7, 1)))


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1, 2, 8], "linear"), ([1, 9], "log"), ([0, 9], "linear"), ([-1, 9], "linear"), ([], "linear")],
)
def test_only_wide_positive_values_are_logarithmic(values: list[float], scale: str) -> None:
    axes = Figure().subplots()
    log_if_wide(axes, "x", values)
    assert (axes.get_xscale(), axes.get_yscale()) == (scale, "linear")


def test_logarithmic_ticks_are_plain_numbers() -> None:
    def steep(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([1, 2], [0.5, 30], color=INK)
        log_if_wide(axes, "y", [0.5, 30])

    assert {"0.5", "1", "2", "5", "10", "20"} <= set(words(Drawing("a", (4, 3), steep).svg()))
