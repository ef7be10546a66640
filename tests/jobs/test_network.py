from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from job_samples import tiny
from tenfold.config import CompressSettings, InspectSettings
from tenfold.core.errors import BudgetError, ShapeError, UnknownNameError, WeightsError
from tenfold.data.dataset import Dataset, Preprocessing, Splits
from tenfold.jobs.network import (
    check_answer,
    check_names,
    filled_in,
    network_of,
    options_of,
    with_kept_layers,
)
from tenfold.layers.census import census
from tenfold.options import Learning, Options

BUDGET = {"budget": {"params": 0.5}}


def splits(channels: int, height: int, classes: int = 3) -> Splits:
    images = torch.zeros(classes, channels, height, height, dtype=torch.uint8)
    data = Dataset(images, torch.arange(classes), tuple("abcdefghij"[:classes]))
    return Splits(data, data, Preprocessing((0.5,) * channels, (0.5,) * channels))


def test_near_names_of_an_architecture() -> None:
    with pytest.raises(UnknownNameError, match=r"no architecture 'resnet21'; the nearest are .*resnet20"):
        check_names(InspectSettings.make({"arch": "resnet21"}))


def test_trained_weights_are_asked_for() -> None:
    for arch in ("resnet20", "torchvision:resnet18", "timm:resnet18"):
        with pytest.raises(WeightsError, match=f"{arch} comes with random weights: give --weights"):
            check_names(CompressSettings.make({"arch": arch, "data": "digits", **BUDGET}))
    check_names(CompressSettings.make({"arch": "job_samples:tiny", "data": "digits", **BUDGET}))
    check_names(InspectSettings.make({"arch": "resnet20"}))


def test_missing_checkpoint(tmp_path: Path) -> None:
    for path, met in ((tmp_path / "none", "no such file"), (tmp_path, "it is a folder")):
        with pytest.raises(WeightsError, match=met):
            check_names(InspectSettings.make({"arch": "resnet20", "weights": path}))


@pytest.mark.parametrize(
    ("data", "height", "padding", "flip"),
    [("digits", 8, 1, False), ("mnist", 28, 3, False), ("fashion-mnist", 28, 3, True), ("x", 224, 4, True)],
)
def test_augmentation_follows_the_images(data: str, height: int, padding: int, flip: bool) -> None:
    settings = InspectSettings.make({"arch": "small", "data": data})
    found = filled_in(settings, splits(1, height))
    assert (found.padding, found.flip) == (padding, flip)
    assert (found.mean, found.channels) == ((0.5,), 1)
    kept = filled_in(settings.with_values(padding=0, flip=not flip), splits(1, height))
    assert (kept.padding, kept.flip) == (0, not flip)


def test_paths_no_longer_depend_on_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # a name goes before a path of the same spelling
    made = InspectSettings.make({"arch": "small", "weights": "w.pt", "data": "digits"})
    found = filled_in(made, splits(1, 8))
    assert found.weights == tmp_path / "w.pt"
    assert found.data == "digits"
    assert filled_in(made.with_values(data="mine"), splits(1, 8)).data == str(tmp_path / "mine")


def test_defaults_are_those_of_the_pipeline() -> None:
    settings = CompressSettings.make(
        {"arch": "small", "data": "x", "padding": 4, "flip": True, "cache": None, **BUDGET}
    )
    assert asdict(options_of(settings)) == asdict(Options())


def test_every_option_reaches_the_pipeline() -> None:
    values = {
        "metric": "activations",
        "keep": ("conv1", "layer1.*"),
        "calibration": 7,
        "held_out": 11,
        "selector": "bayes",
        "trials": 3,
        "space": "ranks",
        "sampler": "tpe",
        "storage": "s",
        "trial_steps": 31,
        "prune": False,
        "front": "params",
        "averaging": 0.71,
        "measured": 73,
        "recovery_steps": 13,
        "recovery_batch": 17,
        "recovery_rate": 0.19,
        "recovery_features": 47.0,
        "recovery_mixed": 0.53,
        "epochs": 23,
        "batch": 29,
        "rate": 0.31,
        "optimiser": "muon",
        "momentum": 0.37,
        "weight_decay": 0.41,
        "schedule": "exp-cyclic",
        "cycles": 3,
        "smoothing": 0.59,
        "distillation": 0.61,
        "temperature": 6.7,
        "mirrored": True,
        "mixed": 0.83,
        "cut_out": 9,
        "form": "rebuilt",
        "precision": "float32",
        "padding": 3,
        "flip": False,
        "workers": 5,
        "seed": 43,
        "cache": "c",
        "target": "torch",
        "latency_threads": 79,
    }
    execution = {"form": "rebuilt", "precision": "float32"}
    options = options_of(CompressSettings.make({"arch": "small", "data": "x", **BUDGET, **values}))
    assert asdict(options) == {
        "metric": "activations",
        "keep": ("conv1", "layer1.*"),
        "calibration": 7,
        "held_out": 11,
        "selector": "bayes",
        "searching": {
            "trials": 3,
            "space": "ranks",
            "sampler": "tpe",
            "storage": "s",
            "steps": 31,
            "prune": False,
            "front": "params",
        },
        "learning": asdict(Learning()),
        "measured": 73,
        "cut_out": 9,
        "recovery": {
            "steps": 13,
            "batch_size": 17,
            "rate": 0.19,
            "features": 47.0,
            "mixed": 0.53,
            **execution,
        },
        "training": {
            "epochs": 23,
            "batch_size": 29,
            "rate": 0.31,
            "optimiser": "muon",
            "momentum": 0.37,
            "weight_decay": 0.41,
            "schedule": "exp-cyclic",
            "cycles": 3,
            "smoothing": 0.59,
            "distillation": 0.61,
            "temperature": 6.7,
            "mirrored": True,
            "mixed": 0.83,
            "averaging": 0.71,
            **execution,
        },
        "augmentation": {"padding": 3, "flip": False, "cut_out": 0},
        "workers": 5,
        "seed": 43,
        "cache": Path("c"),
        "target": "torch",
        "latency_threads": 79,
    }


def test_network_is_the_same_for_the_same_seed_and_leaves_the_generator() -> None:
    settings = InspectSettings.make({"arch": "small", "seed": 3})
    state = torch.get_rng_state()
    one, two = (network_of(settings, classes=3, channels=1) for _ in range(2))
    other = network_of(settings.with_values(seed=4), classes=3, channels=1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [net.state_dict()["classifier.weight"] for net in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not one.training


def test_answer_must_fit_the_images() -> None:
    check_answer(tiny(3, 1), splits(1, 12))
    with pytest.raises(ShapeError, match=r"does not take images of shape \(1, 12, 12\)"):
        check_answer(tiny(3, 3), splits(1, 12))
    with pytest.raises(ShapeError, match=r"answers an image with \(1, 4\)"):
        check_answer(tiny(4, 1), splits(1, 12))
    with pytest.raises(ShapeError, match="answers an image with tuple"):
        check_answer(Pair(), splits(1, 12))


class Pair(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


def test_kept_layers_are_named_largest_first() -> None:
    layers = [torch.nn.Conv1d(1, width, 1) for width in (1, 4, 3, 2)]
    net = torch.nn.Sequential(*layers, torch.nn.Conv2d(1, 8, 3))
    net.forward = lambda x: net[4](x)
    error = with_kept_layers(BudgetError("too small"), census(net, torch.zeros(1, 1, 4, 4)))
    assert str(error) == (
        "too small (kept layers: 1 with 8 params and 0 macs, 2 with 6 params and 0 macs, "
        "3 with 4 params and 0 macs and 1 more)"
    )
