from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from job_samples import CLASSES, SHAPE, depthwise
from tenfold.config import CompressSettings, LearnSettings
from tenfold.core.errors import BudgetError
from tenfold.jobs import preview as module
from tenfold.jobs.preview import preview
from tenfold.runs.directory import RunDirectory


def compress(sample: dict[str, object], **changes: object) -> CompressSettings:
    return CompressSettings.make({**sample, **changes})


def test_says_what_the_job_then_ships(sample: dict[str, object], finished: RunDirectory) -> None:
    found = preview(compress(sample))
    report = finished.read_report()
    assert found.params == (report.before.params, report.after.params)
    assert found.macs == (report.before.macs, report.after.macs)
    assert found.factorised == len(finished.read_plan().factorised)
    assert found.layers == len(report.layers)
    assert found.seconds > 0


def test_a_plan_is_counted_exactly(sample: dict[str, object], finished: RunDirectory) -> None:
    by_plan = preview(compress(sample, budget={}, plan=finished.plan))
    by_budget = preview(compress(sample))
    assert (by_plan.params, by_plan.macs, by_plan.factorised) == (
        by_budget.params,
        by_budget.macs,
        by_budget.factorised,
    )


def test_images_and_network_are_read_once(sample: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        original = getattr(module, name)
        return lambda *given, **named: (read.append(name), original(*given, **named))[1]

    for name in ("images_of", "network_of"):
        monkeypatch.setattr(f"tenfold.jobs.preview.{name}", noted(name))
        monkeypatch.setattr(f"tenfold.jobs.inspect.{name}", noted(name))
    preview(compress(sample))
    assert sorted(read) == ["images_of", "network_of"]


def test_learning_is_bounded_by_its_budget(sample: dict[str, object]) -> None:
    quick = {name: value for name, value in sample.items() if not name.startswith("recovery")}
    settings = LearnSettings.make(
        {
            **quick,
            "weights": None,
            "budget": {"params": 0.5},
            "steps": 3,
            "warm_up": 2,
            "epochs": 4,
            "batch": 16,
        }
    )
    found = preview(settings)
    before = found.params[0]
    assert found.params == (before, int(0.5 * before))
    assert (found.macs[1], found.factorised) == (None, None)
    # 60 images, of which a fifth is held out, in batches of 16: three steps an epoch. In the recovery a
    # teacher answers as well.
    trained = (2 + 3 * settings.step_epochs + 4) * 3
    assert found.steps == round(trained + 4 / 3 * settings.recovery_steps)


@pytest.mark.parametrize(
    ("changes", "share"),
    [({}, 1.0), ({"distillation": 0.5}, 4 / 3), ({"distillation": 0.5, "mirrored": True}, 5 / 3)],
)
def test_a_teacher_takes_a_third_of_a_step_each_way(
    sample: dict[str, object], changes: dict[str, object], share: float
) -> None:
    trained = {"recovery_steps": 0, "epochs": 10, "batch": 16, "distillation": 0.0, **changes}
    settings = compress(sample, **trained)
    assert preview(settings).steps == round(share * 10 * 3)
    still = settings.with_values(flip=False)
    assert preview(still).steps == round(min(share, 4 / 3) * 10 * 3)


def test_impossible_budget_names_the_kept_layers(sample: dict[str, object], tmp_path: Path) -> None:
    settings = compress(
        sample, arch="job_samples:depthwise", weights=_random(tmp_path), budget={"params": 0.1}
    )
    with pytest.raises(BudgetError, match="kept layers: 1 with 8,320 params"):
        preview(settings)


def _random(folder: Path) -> Path:
    """A checkpoint of the network most of which has to be kept."""
    weights = folder / "weights.safetensors"
    save_file(depthwise(len(CLASSES), SHAPE[0]).state_dict(), weights)
    return weights
