"""The part of a page about the search of ranks."""

from __future__ import annotations

from typing import get_args

from tenfold.plots.costs import COSTS
from tenfold.plots.layers import bars
from tenfold.plots.search import State, front_figure, slice_figure, trace_figure
from tenfold.reporting.blocks import Figure, Section, Table
from tenfold.reporting.measures import written
from tenfold.reporting.search import Search

__all__ = ["search_section"]

_BARS = 40


def search_section(search: Search | None) -> Section:
    """Every trial, which dimensions matter, the best trade-offs and the model of the loss."""
    if search is None:
        return Section("search", "Search of ranks", ())
    blocks = (*_trace(search), *_importance(search), *_front(search), *_slice(search))
    return Section("search", "Search of ranks", blocks)


def _trace(search: Search) -> tuple[Figure, ...]:
    """Trial by trial."""
    if not search.trials:
        return ()
    counts = ", ".join(f"{count} {state}" for state in get_args(State) if (count := search.ended(state)))
    caption = (
        f"Held-out loss of each trial in the space of {search.space}, proposed by {search.sampler}: {counts}."
    )
    return (Figure(trace_figure("search-trace", search.trials), caption),)


def _importance(search: Search) -> tuple[Figure, ...]:
    """Which dimensions matter."""
    ranked = sorted(search.importance.items(), key=lambda item: -item[1])
    if not ranked:
        return ()
    more = f", the first {_BARS} of {len(ranked)}" if len(ranked) > _BARS else ""
    drawing = bars("search-importance", dict(ranked[:_BARS]), "importance, share of the loss's variation")
    caption = f"How much the loss depends on each dimension of the search{more}."
    return (Figure(drawing, caption),)


def _front(search: Search) -> tuple[Figure | Table, ...]:
    """The best trade-offs."""
    known = [cost for cost in COSTS if search.front and all(cost in x.costs for x in search.front)]
    if not known:
        return ()
    drawing = front_figure("search-front", search.front, search.trials)
    caption = "Plans that no other trial beats in both loss and cost, among all complete trials."
    rows = tuple(
        (f"{x.loss:.4f}", written(x.accuracy, ".2f"), *(f"{x.costs[cost]:,.6g}" for cost in known))
        for x in sorted(search.front, key=lambda x: x.costs[known[0]])
    )
    header = ("held-out loss, nats", "held-out accuracy, %", *(COSTS[cost] for cost in known))
    return (Figure(drawing, caption), Table(header, rows, texts=0, caption="The front."))


def _slice(search: Search) -> tuple[Figure, ...]:
    """The model of the loss."""
    if search.slice is None:
        return ()
    caption = (
        "What the Gaussian process believes of the log loss over the two dimensions that matter most, "
        "and how sure it is."
    )
    return (Figure(slice_figure("search-slice", search.slice), caption),)
