from __future__ import annotations

from typing import Any

import pytest

from tenfold.config import InspectSettings
from tenfold.core.errors import BudgetError, DataError
from tenfold.jobs.inspect import inspect
from tenfold.runs.directory import RunDirectory

_ONLY_COMPRESS = ("recovery_steps", "recovery_batch")


def settings(sample: dict[str, object], **changes: object) -> InspectSettings:
    values: dict[str, Any] = {**sample, **changes}
    return InspectSettings.make({name: v for name, v in values.items() if name not in _ONLY_COMPRESS})


def test_counts_without_any_data() -> None:
    found = inspect(InspectSettings.make({"arch": "resnet20", "input": "3x32x32"}))
    assert (found.census.params, found.census.macs) == (269_722, 40_551_040)  # 40.55 M, He et al.
    assert found.prediction is None


def test_classes_and_channels_are_passed_on() -> None:
    found = inspect(InspectSettings.make({"arch": "small", "input": "1x8x8", "classes": 7}))
    assert found.census.layers[-1].params == 64 * 7 + 7
    assert found.census.layers[0].params == 9 * 32


def test_what_is_missing_is_said() -> None:
    with pytest.raises(DataError, match="give --data, or --input as in 3x32x32"):
        inspect(InspectSettings.make({"arch": "resnet20"}))
    with pytest.raises(DataError, match=r"a budget needs images.*give --data"):
        inspect(InspectSettings.make({"arch": "resnet20", "input": "3x32x32", "budget": {"params": 0.5}}))


def test_predicts_what_the_job_then_ships(sample: dict[str, object], finished: RunDirectory) -> None:
    prediction = inspect(settings(sample)).prediction
    assert prediction is not None
    report = finished.read_report()
    assert prediction.choices == dict(finished.read_plan())
    assert (prediction.total_params, prediction.total_macs) == (report.after.params, report.after.macs)
    assert prediction.params == {row.name: row.params[1] for row in report.layers}
    assert prediction.macs == {row.name: row.macs[1] for row in report.layers}
    # Of the same images, else the metric differs; and SVD has no sweeps that the table could be short of.
    assert prediction.rise == pytest.approx(sum(row.predicted_rise for row in report.layers), rel=1e-6)


def test_impossible_budget_names_the_kept_layers(sample: dict[str, object]) -> None:
    made = settings(sample, arch="job_samples:depthwise", weights=None, budget={"params": 0.1})
    with pytest.raises(BudgetError, match="kept layers: 1 with 8,320 params"):
        inspect(made)


def test_data_without_a_budget_is_only_counted(sample: dict[str, object]) -> None:
    found = inspect(settings(sample, budget={}))
    assert found.prediction is None
    assert found.census.params == 2171
