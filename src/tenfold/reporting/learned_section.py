"""The section about learning-compression."""

from __future__ import annotations

from tenfold.plots.constraint import course_figure
from tenfold.plots.costs import COSTS
from tenfold.plots.river import river_figure
from tenfold.reporting.blocks import Figure, Section, Table
from tenfold.reporting.learned import FitRow, Learned
from tenfold.reporting.measures import written

__all__ = ["learned_section"]


def learned_section(learned: Learned | None) -> Section:
    """How the constraint was tightened, and how the ranks went; empty for other runs."""
    if learned is None:
        return Section("learned", "Learning-compression", ())
    blocks: tuple[Figure | Table, ...] = (
        _course(learned),
        *_river(learned),
        _fits(learned),
        *_choices(learned),
    )
    return Section("learned", "Learning-compression", blocks)


def _course(learned: Learned) -> Figure:
    """Losses, rates, feasibility."""
    total = "" if learned.epochs is None else f" of {learned.epochs:g} epochs in all"
    caption = (
        "Loss of the task and penalty, learning rate, distance of the kernels from their chains, and "
        f"held-out losses over the L steps{total}, a dotted line at each C step"
    )
    caption += "; a red line is a return to an earlier state." if learned.course.rollbacks else "."
    return Figure(course_figure("learned-course", learned.course), caption)


def _river(learned: Learned) -> tuple[Figure, ...]:
    """The ranks over time."""
    rivers = learned.rivers
    if not rivers:
        return ()
    drawing = river_figure("learned-ranks", rivers, [fit.epoch for fit in learned.fits], "epoch")
    caption = "The ranks of each C step, a band a layer from the first at the top to the last."
    return (Figure(drawing, caption),)


def _fits(learned: Learned) -> Table:
    """The C steps, those that chose ranks marked."""
    header = (
        "C step",
        "epoch",
        "mu",
        "feasibility",
        "parameters",
        "MACs",
        "network: accuracy, %",
        "loss, nats",
        "chains: accuracy, %",
        "loss, nats",
    )
    rows = tuple(
        (
            str(fit.number),
            f"{fit.epoch:g}",
            f"{fit.mu:.3g}",
            f"{fit.feasibility:.4f}",
            f"{fit.params:,}",
            f"{fit.macs:,}",
            *_judged(fit.dense),
            *_judged(fit.compressed),
        )
        for fit in learned.fits
    )
    marked = frozenset(n for n, fit in enumerate(learned.fits) if fit.limits)
    caption = "Held-out images judge the network as it is trained and with its chains put in; "
    caption += "marked: ranks were chosen."
    return Table(header, rows, texts=0, caption=caption, marked=marked)


def _judged(found: tuple[float, float] | None) -> tuple[str, str]:
    """Accuracy and loss as texts."""
    accuracy, loss = found or (None, None)
    return written(accuracy, ".2f"), written(loss, ".4f")


def _choices(learned: Learned) -> tuple[Table, ...]:
    """How ranks were chosen, step by step."""
    chosen = [fit for fit in learned.fits if fit.limits]
    if not chosen:
        return ()
    costs = [cost for cost in COSTS if any(cost in fit.limits for fit in chosen)]
    header = ("C step", *(f"limit, {COSTS[cost]}" for cost in costs), "EVBMF weakening", "plans tried")
    header += ("loss of the allocation, nats", "least loss, nats", "of")
    rows = tuple(_choice(fit, costs) for fit in chosen)
    caption = (
        "What each choice of ranks allowed to ship, and the held-out losses of the plans that were tried."
    )
    return (Table(header, rows, texts=0, caption=caption),)


def _choice(fit: FitRow, costs: list[str]) -> tuple[str, ...]:
    """One of them."""
    losses = {origin: loss for origin, loss in reversed(fit.trials) if loss is not None}
    best = min(fit.trials, key=lambda trial: trial[1] if trial[1] is not None else float("inf"), default=None)
    return (
        str(fit.number),
        *(written(fit.limits.get(cost), ",.0f") for cost in costs),
        written(fit.weakening, ".2f"),
        str(len(fit.trials)) if fit.trials else "-",
        written(losses.get("allocation"), ".4f"),
        written(best[1] if best else None, ".4f"),
        best[0] if best else "-",
    )
