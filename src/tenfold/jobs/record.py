"""A run directory, read for showing, whether the run is finished or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tenfold.config import CompressSettings, LearnSettings, read_toml, settings_of
from tenfold.core.errors import RunError
from tenfold.core.report import Report
from tenfold.reporting.history import read_history
from tenfold.reporting.record import Record
from tenfold.reporting.search import Search, read_search
from tenfold.runs.directory import RunDirectory

__all__ = ["read_record"]


def read_record(run: RunDirectory, name: str) -> Record:
    """Everything of a run that can be shown.

    Args:
        run: of a job that is finished, or was started at least.
        name: what to call it.

    Raises:
        RunError: report.json, search.json or events.jsonl is broken or of a version that cannot be read here.
        PlanError: plan.json of a run that is not finished holds no plan.
        TenfoldError: job.toml of one holds no TOML.
    """
    report = _report(run)
    search = _search(run.search)
    if report is not None:
        meanings = _meanings(report.settings)
        return Record(name, report, settings=report.settings, meanings=meanings, search=search)
    events = [event for event in run.events() if "done" in event]
    settings = read_toml(run.job) if run.job.is_file() else {}
    return Record(
        name,
        plan=run.read_plan() if run.plan.is_file() else None,
        settings=settings,
        meanings=_meanings(settings),
        last=events[-1] if events else None,
        search=search,
    )


def _meanings(settings: Mapping[str, object]) -> dict[str, str]:
    """What each setting of a job means."""
    schema = LearnSettings if settings.get("method") == "lc" else CompressSettings
    return {setting.name: setting.help for setting in settings_of(schema)}


def _report(run: RunDirectory) -> Report | None:
    """report.json, or None where there is none yet."""
    if not run.report.exists():
        return None
    try:
        report = run.read_report()
    except RunError as error:
        writer = _writer(run.report)
        if writer in (None, version("tenfold")):
            raise
        raise RunError(
            f"cannot read {run.report}: tenfold {writer} wrote it, and this is {version('tenfold')}; "
            "install that version, or run the job again"
        ) from error
    _check(report, run.report)
    return report


def _writer(path: Path) -> str | None:
    """The version of tenfold that wrote a report, where even that can be read."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["versions"]["tenfold"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check(report: Report, path: Path) -> None:
    """Refuse a report with other things in it than the ones it should hold.

    Raises:
        RunError: names the first.
    """
    number = (int, float)
    networks = (report.before, report.after, report.after_last)
    measures = [value for network in networks if network for value in vars(network).values()]
    pairs = [pair for layer in report.layers for pair in (layer.params, layer.macs)]
    rises = [value for layer in report.layers for value in (layer.error, layer.predicted_rise)]
    rises += [layer.measured_rise for layer in report.layers if layer.measured_rise is not None]
    checks = {
        "before and after": all(value is None or isinstance(value, number) for value in measures),
        "params and macs of a layer": all(list(map(type, pair)) == [int, int] for pair in pairs),
        "error and rises of a layer": all(isinstance(value, number) for value in rises),
        "settings": isinstance(report.settings, dict),
        "seconds": _of(report.seconds, number),
        "versions": _of(report.versions, str),
        "history": all(isinstance(row, dict) for row in report.history),
    }
    for name, right in checks.items():
        if not right:
            raise RunError(f"{path}: {name} is not what tenfold writes; run the job again")
    try:
        read_history(report.history)
    except RunError as error:
        raise RunError(f"{path}: {error}") from error


def _of(values: object, kind: type | tuple[type, ...]) -> bool:
    """Whether this is a dictionary of values of that kind."""
    return isinstance(values, dict) and all(isinstance(value, kind) for value in values.values())


def _search(path: Path) -> Search | None:
    """search.json, or None where there is none."""
    if not path.exists():
        return None
    try:
        return read_search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}; restore the file or search again") from error
    except RunError as error:
        raise RunError(f"{path}: {error}") from error
