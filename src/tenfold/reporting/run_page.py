"""The page about one run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tenfold.core.report import Measures, Report
from tenfold.plots.curves import Curve, curve_figure, cycle_ends
from tenfold.reporting.blocks import Figure, Page, Section, Table
from tenfold.reporting.history import History, read_history
from tenfold.reporting.layer_section import layer_section, planned_section
from tenfold.reporting.learned_section import learned_section
from tenfold.reporting.measures import LATENCY_NOTE, MEASURES, compared, written
from tenfold.reporting.record import Record
from tenfold.reporting.search import Search
from tenfold.reporting.search_section import search_section

__all__ = ["run_page", "setting_text"]

_RECOVERY_LOSS = "loss: squared difference\nfrom the original"
_TRAINING_LOSS = "training loss, nats"


def run_page(record: Record) -> Page:
    """Everything there is about a run, as a page.

    Raises:
        RunError: the history of the report is not what tenfold writes.
    """
    report = record.report
    history = read_history(report.history if report else ())
    sections = (
        Section("result", "Before and after", _result(report, history)),
        layer_section(report.layers) if report else planned_section(record.plan),
        *((learned_section(history.learned),) if history.learned else ()),
        Section("recovery", "Recovery without labels", _recovery(history.recovery)),
        Section("training", "Fine-tuning", _training(history)),
        _search(record.search, history),
        Section("time", "Time", _times(report)),
        Section("settings", "Settings", _settings(record)),
        Section("versions", "Versions", _versions(report)),
    )
    return Page(
        title=record.name,
        lead=_lead(report, record.settings),
        sections=sections,
        notice="" if report or record.planned else f"This run is {record.standing}.",
    )


def setting_text(value: Any) -> str:
    """The value of a setting as a table shows it.

    Example:
        >>> [setting_text(value) for value in (None, True, [0.5, 0.25], {"params": 0.2}, "btd")]
        ['not set', 'true', '0.5, 0.25', 'params = 0.2', 'btd']
    """
    if value is None or value in ({}, []):
        return "not set"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {setting_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _lead(report: Report | None, settings: Mapping[str, Any]) -> str:
    """The sentences at the top."""
    asked = [f"{name} {setting_text(settings[name])}" for name in ("arch", "scheme") if name in settings]
    asked += [f"budget {setting_text(settings['budget'])}"] if settings.get("budget") else []
    sentences = [", ".join(asked) + "."] if asked else []
    if report is not None:
        left = [
            f"{100 * after / before:.1f} % of the {measure.title.partition(',')[0]}"
            for measure in MEASURES
            if not measure.points
            and (before := measure.of(report.before))
            and (after := measure.of(report.after)) is not None
        ]
        sentences.append(f"What is left: {', '.join(left)}.")
        before, after = report.before.accuracy, report.after.accuracy
        if before is not None and after is not None:
            change = compared(before, after, points=True)
            sentences.append(f"Test accuracy {after:.2f} %, {change} from {before:.2f} %.")
    return " ".join(sentences)


def _result(report: Report | None, history: History) -> tuple[Figure | Table, ...]:
    """The networks, and what the held-out images said on the way."""
    if report is None:
        return ()
    last: Measures | None = report.after_last
    rows = []
    for measure in MEASURES:
        before, after = measure.of(report.before), measure.of(report.after)
        row = [measure.title, written(before, measure.form), written(after, measure.form)]
        row += [compared(before, after, points=measure.points)]
        row += [written(measure.of(last), measure.form)] if last else []
        rows.append(tuple(row))
    header = ("", "before", "after", "after / before", *(["last epoch"] if last else []))
    chosen = "; after: the snapshot that the held-out images chose" if last else ""
    budgeted = f" Budget on {report.latency.sentence}." if report.latency else ""
    blocks = [Table(header, tuple(rows), caption=f"Test set and files; {LATENCY_NOTE}{chosen}.{budgeted}")]
    if history.judgements:
        judged = tuple((x.phase, f"{x.accuracy:.2f}", f"{x.loss:.4f}") for x in history.judgements)
        caption = "Training images that were held out, after each phase; never the test set."
        blocks.append(Table(("held-out images", "accuracy, %", "loss, nats"), judged, caption=caption))
    return tuple(blocks)


def _recovery(curve: Curve | None) -> tuple[Figure | Table, ...]:
    """How the network was brought back without labels."""
    if curve is None:
        return ()
    drawing = curve_figure("recovery-curve", curve, loss=_RECOVERY_LOSS)
    caption = (
        f"Loss and learning rate over the {len(curve.points):,} steps in which the compressed network learnt "
        "to answer like the original."
    )
    return (Figure(drawing, caption),)


def _training(history: History) -> tuple[Figure | Table, ...]:
    """How the network was fine-tuned with labels."""
    blocks: list[Figure | Table] = []
    if history.training is not None:
        drawing = curve_figure("training-curve", history.training, loss=_TRAINING_LOSS)
        blocks.append(Figure(drawing, _training_caption(history.training)))
    if history.cycles:
        blocks.append(_cycles(history))
    if history.rollbacks:
        header = ("step", "rate from then on", "cause")
        returns = tuple((f"{x.step:,}", f"{x.rate:.3g}", x.cause) for x in history.rollbacks)
        blocks.append(Table(header, returns, texts=0, caption="Returns to an earlier state.", wide=True))
    return tuple(blocks)


def _cycles(history: History) -> Table:
    """The snapshots, the chosen one marked."""
    rows = tuple(
        (
            str(x.number),
            f"{x.step:,}",
            f"{x.epoch:g}",
            f"{x.accuracy:.2f}",
            f"{x.loss:.4f}",
            "chosen" if x.chosen else "",
        )
        for x in history.cycles
    )
    header = ("cycle", "step", "epoch", "held-out accuracy, %", "held-out loss, nats", "")
    marked = frozenset(number for number, x in enumerate(history.cycles) if x.chosen)
    caption = "The network at the end of each cycle of the learning rate."
    return Table(header, rows, texts=0, caption=caption, marked=marked)


def _training_caption(curve: Curve) -> str:
    """What the figure shows of this curve."""
    cycles = len(cycle_ends(curve)) + 1
    parts = [f"Loss and learning rate over {len(curve.points):,} steps in {cycles} "]
    parts.append("cycle" if cycles == 1 else "cycles whose ends are dotted")
    if curve.snapshots:
        parts.append(", with the held-out accuracy at the end of each and a star at the one that was kept")
    if curve.rollbacks:
        parts.append("; a red line is a return to an earlier state")
    return "".join(parts) + "."


def _search(search: Search | None, history: History) -> Section:
    """The search of ranks, of which learning-compression leaves the last one."""
    section = search_section(search)
    return replace(section, title="Search of ranks, last choice") if history.learned else section


def _times(report: Report | None) -> tuple[Table, ...]:
    """Seconds by phase."""
    if report is None or not report.seconds:
        return ()
    total = sum(report.seconds.values())
    rows = [
        (phase, f"{seconds:,.1f}", f"{100 * seconds / total:.1f}" if total else "-")
        for phase, seconds in report.seconds.items()
    ]
    rows.append(("in all", f"{total:,.1f}", ""))
    marked = frozenset({len(rows) - 1})
    return (Table(("phase", "seconds", "share, %"), tuple(rows), caption="Wall time.", marked=marked),)


def _settings(record: Record) -> tuple[Table, ...]:
    """All of them, with what they mean."""
    if not record.settings:
        return ()
    rows = tuple(
        (name, setting_text(value), record.meanings.get(name, "")) for name, value in record.settings.items()
    )
    return (Table(("setting", "value", "meaning"), rows, texts=3, wide=True),)


def _versions(report: Report | None) -> tuple[Table, ...]:
    """Of Python and the packages that matter."""
    if report is None or not report.versions:
        return ()
    return (Table(("package", "version"), tuple(report.versions.items()), texts=2),)
