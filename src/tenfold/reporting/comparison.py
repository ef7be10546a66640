"""Several runs side by side: rows for a terminal, and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tenfold.core.report import Measures, Report
from tenfold.plots.comparison import accuracy_figure, drawable_costs
from tenfold.reporting.blocks import Figure, Page, Section, Table
from tenfold.reporting.history import read_history
from tenfold.reporting.measures import LATENCY_NOTE, MEASURES, Measure, written
from tenfold.reporting.record import Record
from tenfold.reporting.run_page import setting_text

__all__ = ["Comparison", "Row", "compare_records", "comparison_page"]

_OWN = ("out",)  # settings that differ whenever there are two runs
_UNKNOWN = "-"


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Attributes:
        title: what is compared, with its unit.
        values: a text a run.
        best: numbers of the runs that are ahead; none where there is nothing to win or all are level.
        differs: of a setting, whether the runs whose settings are known are not all alike.
    """

    title: str
    values: tuple[str, ...]
    best: frozenset[int] = frozenset()
    differs: bool = False


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        names: of the runs, in the order they were given.
        measures: what was measured.
        settings: all settings, those that differ first.
        unfinished: what to know of runs that are not finished, a sentence each.
    """

    names: tuple[str, ...]
    measures: tuple[Row, ...]
    settings: tuple[Row, ...]
    unfinished: tuple[str, ...]


def compare_records(records: Sequence[Record]) -> Comparison:
    """Lay runs side by side; one that is not finished has a dash wherever it measured nothing.

    Args:
        records: at least one, under different names.

    Raises:
        RunError: the history of a report is not what tenfold writes.
    """
    reports = [record.report for record in records]
    return Comparison(
        names=tuple(record.name for record in records),
        measures=tuple(_measure_rows(reports)),
        settings=_setting_rows([record.settings for record in records]),
        unfinished=tuple(f"{x.name} is {x.standing}." for x in records if x.report is None),
    )


def comparison_page(comparison: Comparison, records: Sequence[Record]) -> Page:
    """A page of what `compare_records` found, with figures of accuracy against each cost."""
    header = ("", *comparison.names)
    measured = tuple((row.title, *_starred(row)) for row in comparison.measures)
    caption = f"An asterisk marks the best of a row; {LATENCY_NOTE}."
    differing = frozenset(n for n, row in enumerate(comparison.settings) if row.differs)
    settings = tuple((row.title, *row.values) for row in comparison.settings)
    sections = (
        Section("measures", "Measures", (Table(header, measured, caption=caption),)),
        Section("figures", "Accuracy and cost", _figures(records)),
        Section(
            "settings",
            "Settings",
            (
                Table(
                    header,
                    settings,
                    texts=len(header),
                    caption="Settings that differ stand first and are marked.",
                    marked=differing,
                ),
            )
            if settings
            else (),
        ),
    )
    lead = f"{len(comparison.names)} runs; {len(differing)} of {len(settings)} settings differ."
    return Page("Comparison of runs", lead, sections, notice=" ".join(comparison.unfinished))


def _measure_rows(reports: Sequence[Report | None]) -> list[Row]:
    """What was measured, absolutely and beside the original; without rows that are empty."""
    rows: list[Row] = []
    for measure in MEASURES:
        after = [measure.of(report.after) if report else None for report in reports]
        rows.append(_row(measure.title, after, measure.form, more=measure.points))
        change, form = ("change, points", "+.2f") if measure.points else ("left of the original, %", ".1f")
        beside = [_beside(measure, report) for report in reports]
        title = f"{measure.title.partition(',')[0]}: {change}"
        rows.append(_row(title, beside, form, more=measure.points))
    for title, form, more, value in _OTHERS:
        rows.append(_row(title, [value(report) if report else None for report in reports], form, more=more))
    return [row for row in rows if set(row.values) != {_UNKNOWN}]


def _beside(measure: Measure, report: Report | None) -> float | None:
    """The compressed network beside its original: a difference in points, or what is left in percent."""
    before, after = (measure.of(report.before), measure.of(report.after)) if report else (None, None)
    if before is None or after is None:
        return None
    if measure.points:
        return after - before
    return 100 * after / before if before else None


def _last_accuracy(report: Report) -> float | None:
    """Test accuracy of the last epoch."""
    last: Measures | None = report.after_last
    return last.accuracy if last else None


def _held_out_accuracy(report: Report) -> float | None:
    """What the held-out images said of what ships."""
    history = read_history(report.history)
    chosen = [x.accuracy for x in history.cycles if x.chosen]
    return next(iter(chosen or [x.accuracy for x in history.judgements[-1:]]), None)


def _epochs(report: Report) -> float | None:
    """All epochs of a network that was learned."""
    learned = read_history(report.history).learned
    return learned.epochs if learned else None


_OTHERS: tuple[tuple[str, str, bool, Callable[[Report], float | None]], ...] = (
    ("test accuracy of the last epoch, %", ".2f", True, _last_accuracy),
    ("held-out accuracy, %", ".2f", True, _held_out_accuracy),
    ("epochs in all, without pre-training", ",.1f", False, _epochs),
    ("time, seconds", ",.0f", False, lambda report: sum(report.seconds.values()) or None),
)


def _row(title: str, values: Sequence[float | None], form: str, *, more: bool) -> Row:
    """One line; `more` is better, or less is."""
    texts = tuple(written(value, form) for value in values)
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(set(texts)) == 1:
        return Row(title, texts)
    winner = written(max(known) if more else min(known), form)
    return Row(title, texts, frozenset(n for n, text in enumerate(texts) if text == winner))


def _setting_rows(settings: Sequence[Mapping[str, object]]) -> tuple[Row, ...]:
    """All settings by name, those that differ first."""
    names = dict.fromkeys(name for values in settings for name in values if name not in _OWN)
    known = [values for values in settings if values]
    rows = []
    for name in names:
        texts = tuple(_setting(values, name) for values in settings)
        differs = len({_setting(values, name) for values in known}) > 1
        rows.append(Row(name, texts, differs=differs))
    return tuple(sorted(rows, key=lambda row: not row.differs))


def _setting(values: Mapping[str, object], name: str) -> str:
    """The text of one setting of one run."""
    return setting_text(values[name]) if name in values else _UNKNOWN


def _starred(row: Row) -> tuple[str, ...]:
    """The texts of a row, the best marked."""
    return tuple(f"{text} *" if n in row.best else text for n, text in enumerate(row.values))


def _figures(records: Sequence[Record]) -> tuple[Figure, ...]:
    """Accuracy against each cost."""
    runs = {record.name: record.report.after for record in records if record.report}
    if not drawable_costs(runs):
        return ()
    drawing = accuracy_figure("accuracy-cost", runs, _originals(records))
    caption = "Test accuracy of each run against each cost; a grey cross is the network it was made of."
    return (Figure(drawing, caption),)


def _originals(records: Sequence[Record]) -> dict[str, Measures]:
    """The networks that the runs were made of, each once."""
    found: dict[tuple[object, ...], tuple[str, Measures]] = {}
    for record in records:
        if record.report:
            before = record.report.before
            arch = str(record.settings.get("arch", "the original"))
            found.setdefault((arch, before.params, before.macs, before.accuracy), (arch, before))
    labels = [arch for arch, _ in found.values()]
    several = len(labels) > len(set(labels))
    return {
        f"{arch}, original" + (f" {n}" if several else ""): before
        for n, (arch, before) in enumerate(found.values(), start=1)
    }
