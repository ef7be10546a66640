"""The part of a page about the layers: what became of each, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold.core.plan import Choice, Plan
from tenfold.core.report import LayerReport
from tenfold.plots.heat_map import heat_map
from tenfold.plots.layers import Rise, bars, predicted_against_measured, rank_correlation
from tenfold.reporting.blocks import Figure, Section, Table

__all__ = ["layer_section", "planned_section"]

_BARS = 40  # more are no figure any more
_RISE = "loss rise, half a squared logit error"


def layer_section(layers: Sequence[LayerReport]) -> Section:
    """The plan as a heat map, what it was predicted to cost and what it did cost, and a table of it all."""
    blocks: list[Figure | Table] = []
    if layers:
        drawing = heat_map("plan-map", layers)
        caption = (
            "The layers in network order, a line a stage: what is left of the parameters and MACs of each, "
            "its scheme and its rank."
        )
        blocks = [Figure(drawing, caption), *_costs(layers), _table(layers)]
    return Section("plan", "Plan", tuple(blocks))


def planned_section(plan: Plan | None) -> Section:
    """The plan of a run that has not measured anything yet."""
    rows = tuple((name, *_chosen(choice)) for name, choice in plan.items()) if plan else ()
    table = Table(("layer", "scheme", "rank"), rows, texts=3, caption="The plan that the run follows.")
    return Section("plan", "Plan", (table,) if rows else ())


def _costs(layers: Sequence[LayerReport]) -> list[Figure | Table]:
    """Figures of the loss rise."""
    figures: list[Figure | Table] = []
    factorised = [x for x in layers if x.choice is not None and math.isfinite(x.predicted_rise)]
    predicted = {x.name: x.predicted_rise for x in factorised}
    if any(predicted.values()):
        dearest = sorted(predicted, key=lambda name: -predicted[name])[:_BARS]
        shown = {name: value for name, value in predicted.items() if name in dearest}
        which = "each factorised layer" if len(shown) == len(predicted) else f"the {_BARS} dearest layers"
        caption = f"The loss rise that was predicted for {which}, in network order."
        drawing = bars("rise-bars", shown, f"predicted {_RISE}")
        figures.append(Figure(drawing, caption))
    measured = {x.name: x.measured_rise for x in factorised}
    known = {name: value for name, value in measured.items() if value is not None and math.isfinite(value)}
    rises = [Rise(n, predicted[n], value) for n, value in known.items() if min(predicted[n], value) > 0]
    if rises:
        drawing = predicted_against_measured("rise-scatter", rises, _RISE)
        figures.append(Figure(drawing, _scatter_caption(rises, len(known))))
    return figures


def _scatter_caption(rises: Sequence[Rise], known: int) -> str:
    """What the scatter shows, and what it cannot."""
    caption = "The loss rise of each layer alone, predicted and measured"
    correlation = rank_correlation(rises)
    if correlation is not None:
        caption += f"; rank correlation {correlation:.2f}"
    if known > len(rises):
        caption += f"; {known - len(rises)} without a rise above 0 left out"
    return caption + "."


def _table(layers: Sequence[LayerReport]) -> Table:
    """All figures of all layers."""
    rows = tuple(
        (
            layer.name,
            *_chosen(layer.choice),
            f"{layer.params[0]:,}",
            _left(layer.params),
            f"{layer.macs[0]:,}",
            _left(layer.macs),
            f"{layer.error:.3f}" if layer.choice else "-",
            f"{layer.predicted_rise:.3g}" if layer.choice else "-",
            layer.reason,
        )
        for layer in layers
    )
    sizes = ("parameters", "left, %", "MACs", "left, %")
    header = ("layer", "scheme", "rank", *sizes, "relative error", "predicted rise", "why kept")
    caption = f"Relative error of the kernel: Frobenius norm; predicted rise: {_RISE}."
    return Table(header, rows, texts=3, caption=caption, wide=True)


def _chosen(choice: Choice | None) -> tuple[str, str]:
    """Scheme and rank."""
    return (choice.scheme, "×".join(map(str, choice.rank))) if choice else ("kept", "")


def _left(pair: tuple[int, int]) -> str:
    """What is left, in percent."""
    before, after = pair
    return f"{100 * after / before:.1f}" if before else "-"
