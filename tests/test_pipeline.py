from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from odd_layers import HALF, ODD, Around, around, seeded
from tenfold.core.errors import BudgetError, NonFiniteError, PlanError, RankError, UnknownNameError
from tenfold.core.plan import Budget, Choice, Plan
from tenfold.core.report import Report
from tenfold.data.dataset import Dataset, Preprocessing, Splits
from tenfold.layers.census import census
from tenfold.layers.chain import is_chain
from tenfold.options import Options
from tenfold.pipeline import Compressed, Session, compress, material_of, plan_for
from tenfold.ranks.table import build_table
from tenfold.train.batches import Augmentation
from tenfold.train.evaluate import Evaluation, evaluate
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training

RGB = Preprocessing((0.5,) * 3, (0.25,) * 3)
CLASSES = ("a", "b", "c")
EXAMPLE = torch.zeros(1, 3, 8, 8)
QUICK = Options(
    calibration=40,
    held_out=8,
    recovery=Recovery(steps=3, batch_size=16),
    augmentation=Augmentation(padding=1),
    workers=1,
)
ONE_SHOT = replace(QUICK, recovery=Recovery(steps=0))


def dataset(count: int, seed: int) -> Dataset:
    """Noise, of any class."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, 8, 8), generator=generator).byte()
    return Dataset(images, torch.randint(3, (count,), generator=generator), CLASSES)


DATA = Splits(dataset(60, 0), dataset(30, 1), RGB)


class Small(nn.Module):
    """Two convolutions with batch norms, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, groups=12)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = self.depthwise(torch.relu(self.second(x)))
        return self.head(torch.relu(x).mean((2, 3)))


@pytest.fixture(autouse=True)
def _fixed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice by timing: the two exact forms of a chain, and the two precisions, round differently."""
    monkeypatch.setattr("tenfold.train.execution.faster_rebuilt", lambda *_args, **_options: [])
    monkeypatch.setattr("tenfold.train.execution._bfloat16_is_faster", lambda *_: False)


def small() -> nn.Module:
    return seeded(Small)


def bits(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = bits(one), bits(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def numbers(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.fixture(scope="module")
def found() -> Compressed:
    """The small network at half its parameters."""
    return compress(small(), DATA, budget=Budget(params=0.5), options=ONE_SHOT)


@pytest.mark.parametrize(
    ("budget", "scheme"),
    [
        (Budget(params=0.5), "btd"),
        (Budget(params=0.6), "tucker"),
        (Budget(params=800), "cp"),
        (Budget(macs=0.6), "tt"),
        (Budget(size_bytes=0.6), "tt-tucker"),
        (Budget(params=0.6, macs=0.5), "auto"),
        (Budget(params=1.0), "svd"),
    ],
    ids=str,
)
def test_the_budget_is_met(budget, scheme):
    net = small()
    made = compress(net, DATA, budget=budget, scheme=scheme, options=ONE_SHOT)
    counted, before = census(made.model, EXAMPLE), census(net, EXAMPLE)
    limits = budget.limits({"params": before.params, "macs": before.macs, "size_bytes": 4 * before.params})
    ships = {"params": counted.params, "macs": counted.macs, "size_bytes": 4 * counted.params}
    assert all(ships[name] <= limit for name, limit in limits.items())
    assert any(ships[name] >= 0.8 * limit for name, limit in limits.items())
    assert numbers(made.model) == counted.params
    assert not made.model.training
    if budget == Budget(params=1.0):
        assert not made.plan.factorised  # to keep all costs nothing


def test_the_report_is_of_the_model(found):
    net, report = small(), found.report
    counted = census(found.model, EXAMPLE)
    assert (report.before.params, report.before.macs) == (numbers(net), census(net, EXAMPLE).macs)
    assert (report.after.params, report.after.macs) == (numbers(found.model), counted.macs)
    assert report.before.accuracy == evaluate(net, DATA.test, RGB).accuracy
    assert report.after.accuracy == evaluate(found.model, DATA.test, RGB).accuracy
    assert [row.name for row in report.layers] == ["first", "second", "depthwise", "head"] == list(found.plan)
    for row in report.layers:
        one, other = net.get_submodule(row.name), found.model.get_submodule(row.name)
        assert row.params == (numbers(one), numbers(other))
        assert row.choice == found.plan[row.name]
        assert (row.choice is None) == isinstance(other, nn.Conv2d | nn.Linear) == bool(row.reason)
        assert (row.error > 0) == (row.predicted_rise > 0) == (row.choice is not None)
    assert sum(row.macs[0] for row in report.layers) == report.before.macs
    assert sum(row.macs[1] for row in report.layers) == report.after.macs
    assert "depthwise" in report.layers[2].reason
    assert set(report.seconds) == {"plan", "fit", "recover", "evaluate"}
    assert [row["phase"] for row in report.history] == ["one shot"]
    assert Report.from_json(report.to_json()) == report


def test_the_accuracies_are_those_of_the_test_images_before_and_after():
    net = small().eval()
    with torch.no_grad():
        net.head.bias -= net(RGB.apply(DATA.test.images)).mean(0)  # so that each class is met
        labels = net(RGB.apply(DATA.test.images)).argmax(1)
    splits = Splits(DATA.train, Dataset(DATA.test.images, labels, CLASSES), RGB)
    plan = Plan({"first": Choice("svd", (1,)), "second": Choice("svd", (1,)), "head": Choice("svd", (1,))})
    made = compress(net, splits, plan=plan, options=ONE_SHOT)
    assert made.report.before.accuracy == 100
    assert made.report.after.accuracy == evaluate(made.model, splits.test, RGB).accuracy < 100


def test_batch_norms_are_re_estimated_on_the_calibration_images():
    options = replace(ONE_SHOT, augmentation=Augmentation(0, flip=False))
    made = compress(small(), DATA, plan=Plan({"first": Choice("svd", (2,))}), options=options)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(options.seed))
    with torch.no_grad():
        seen = made.model.first(RGB.apply(DATA.train.images[order[8:48]]))
    torch.testing.assert_close(made.model.norm.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.model.norm.running_var, seen.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_the_input_is_not_touched():
    net = small().train()
    net.norm.eval()
    before, images = bits(net), DATA.train.images.clone()
    compress(net, DATA, budget=Budget(params=0.5), options=replace(QUICK, training=Training(epochs=1)))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert (net.training, net.norm.training, net.head.training) == (True, False, True)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert torch.equal(images, DATA.train.images)


def test_same_seed_same_bits_and_labels_are_not_used():
    one = compress(small(), DATA, budget=Budget(params=0.5), options=QUICK)
    train = Dataset(DATA.train.images, (DATA.train.labels + 1) % 3, CLASSES)
    other = compress(small(), Splits(train, DATA.test, RGB), budget=Budget(params=0.5), options=QUICK)
    assert equal(one.model, other.model)
    assert one.plan == other.plan
    assert one.report.after.accuracy == other.report.after.accuracy
    seeded_otherwise = compress(small(), DATA, budget=Budget(params=0.5), options=replace(QUICK, seed=1))
    assert not equal(one.model, seeded_otherwise.model)


def test_test_images_are_not_used_for_the_model():
    options = replace(QUICK, training=Training(epochs=1))
    one = compress(small(), DATA, budget=Budget(params=0.5), options=options)
    test = Dataset(255 - DATA.test.images, (DATA.test.labels + 1) % 3, CLASSES)
    other = compress(small(), Splits(DATA.train, test, RGB), budget=Budget(params=0.5), options=options)
    assert equal(one.model, other.model)
    assert one.plan == other.plan
    assert one.report.history == other.report.history


def test_training_uses_the_labels_and_not_those_held_out():
    options = replace(ONE_SHOT, training=Training(epochs=1, batch_size=26))
    plan = Plan({"second": Choice("svd", (3,))})
    one = compress(small(), DATA, plan=plan, options=options)
    train = Dataset(DATA.train.images, (DATA.train.labels + 1) % 3, CLASSES)
    assert not equal(
        one.model, compress(small(), Splits(train, DATA.test, RGB), plan=plan, options=options).model
    )
    phases = [row["phase"] for row in one.report.history]
    assert phases == ["one shot", "training", "training", "snapshot"]  # 52 images, 26 a step; 8 are held out
    order = torch.randperm(60, generator=torch.Generator().manual_seed(options.seed))
    labels = DATA.train.labels.clone()
    labels[order[:8]] = (labels[order[:8]] + 1) % 3
    other = Splits(Dataset(DATA.train.images, labels, CLASSES), DATA.test, RGB)
    assert equal(one.model, compress(small(), other, plan=plan, options=options).model)


def test_recovery_brings_the_answers_back():
    plan = Plan({"second": Choice("svd", (2,)), "first": Choice("svd", (2,))})
    net, x = small().eval(), RGB.apply(DATA.train.images)
    errors = []
    for steps in (0, 60):
        options = replace(QUICK, recovery=Recovery(steps=steps, batch_size=16))
        made = compress(net, DATA, plan=plan, options=options)
        with torch.no_grad():
            errors.append(float((made.model(x) - net(x)).square().mean()))
    assert errors[1] < errors[0] / 2
    assert [row["step"] for row in made.report.history if row["phase"] == "recovery"] == list(range(1, 61))


def test_a_recovery_that_moves_away_from_the_original_is_undone():
    plan = Plan({"second": Choice("svd", (12,)), "first": Choice("svd", (8,))})  # which loses nothing
    made = []
    for recovery in (Recovery(steps=0), Recovery(steps=2, batch_size=4, rate=0.5)):
        made.append(compress(small(), DATA, plan=plan, options=replace(QUICK, recovery=recovery)))
    assert equal(*(each.model for each in made))
    history = made[1].report.history
    assert not any(row["phase"] == "rollback" for row in history)  # ten times nothing is no blow-up
    rows = [row for row in history if "held_out_loss" in row]
    assert [row["phase"] for row in rows] == ["one shot", "recovered", "recovery undone"]
    assert rows[2] | {"phase": "one shot"} == rows[0] != rows[1] | {"phase": "one shot"}


def test_a_plan_that_is_given_is_taken(found):
    plan = Plan({"second": Choice("cp", (5,)), "head": None})
    made = compress(small(), DATA, plan=plan, options=ONE_SHOT)
    assert made.plan == Plan({"first": None, "second": Choice("cp", (5,)), "depthwise": None, "head": None})
    shapes = [tuple(stage.weight.shape) for stage in made.model.second]
    assert shapes == [(5, 8, 1, 1), (5, 1, 3, 3), (12, 5, 1, 1)]
    assert isinstance(made.model.first, nn.Conv2d)
    again = compress(small(), DATA, plan=found.plan, options=ONE_SHOT)
    assert equal(again.model, found.model)


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        (Plan({"secnd": Choice("svd", (2,))}), PlanError, "no layer 'secnd'.*the nearest is second"),
        (Plan({"secnd": None}), PlanError, "no layer 'secnd'"),
        (Plan({"depthwise": Choice("svd", (2,))}), PlanError, "depthwise cannot be factorised.*write null"),
        (Plan({"second": Choice("svd", (13,))}), RankError, r"second: svd rank \(13,\).*is \(12,\)"),
        (Plan({"second": Choice("btd", (0, 1, 1))}), RankError, "second: btd rank.*at least 1"),
        (Plan({"head": Choice("cp", (2,))}), PlanError, "head: cp rank.*use svd"),
        (Plan({"second": Choice("tuker", (2, 2))}), UnknownNameError, "nearest are tucker, tt-tucker"),
        (None, PlanError, "neither a budget nor a plan"),
    ],
)
def test_a_plan_that_does_not_fit_is_one_clear_error(plan, error, words):
    with pytest.raises(error, match=words):
        compress(small(), DATA, plan=plan, options=ONE_SHOT)


def test_a_budget_that_cannot_be_met_says_what_can():
    with pytest.raises(BudgetError, match=r"the smallest possible is [0-9,]+, of which") as caught:
        compress(small(), DATA, budget=Budget(params=200), options=ONE_SHOT)
    smallest = int(str(caught.value).split("smallest possible is ")[1].split(", of")[0].replace(",", ""))
    made = compress(small(), DATA, budget=Budget(params=smallest), options=ONE_SHOT)
    assert numbers(made.model) == smallest


@pytest.mark.parametrize("tensor", ["second.weight", "norm.running_var"])
def test_one_nan_is_refused_by_name(tensor):
    net = small()
    net.state_dict()[tensor].flatten()[1] = float("nan")
    for call in (
        lambda: compress(net, DATA, budget=Budget(params=0.5), options=ONE_SHOT),
        lambda: plan_for(net, DATA.train.images, RGB, budget=Budget(params=0.5), options=ONE_SHOT),
    ):
        with pytest.raises(NonFiniteError, match=tensor):
            call()


def test_plan_for_is_what_compress_takes(found):
    images = DATA.train.images[torch.randperm(60, generator=torch.Generator().manual_seed(0))[8:48]]
    planned = plan_for(small(), images, RGB, budget=Budget(params=0.5), options=ONE_SHOT)
    assert planned.plan == found.plan
    assert planned.census.params == found.report.before.params
    assert set(planned.table) == {layer.name for layer in planned.layers} == {"first", "second", "head"}


def test_the_table_is_refined_around_the_optimum():
    net = seeded(lambda: Around(nn.Conv2d(48, 48, 3)))
    budget, images = Budget(params=0.6), DATA.train.images
    planned = plan_for(net, images, RGB, budget=budget, scheme="svd", options=ONE_SHOT)
    coarse = build_table(planned.layers, "svd")
    assert all(set(row) <= set(planned.table[name]) for name, row in coarse.items())
    finer = {c.choice for c in planned.table["layer"]} - {c.choice for c in coarse["layer"]}
    assert planned.plan["layer"] in finer


def test_progress_tells_every_phase_to_its_end():
    told: dict[str, tuple[int, int]] = {}
    options = replace(QUICK, training=Training(epochs=1))
    session = Session(lambda phase, done, total: told.__setitem__(phase, (done, total)))
    compress(small(), DATA, budget=Budget(params=0.5), options=options, session=session)
    begin = ["statistics", "candidates", "refine", "fit", "judge", "recover"]
    assert list(told) == [*begin, "train", "evaluate"]
    assert all(done == total for done, total in told.values())


def test_a_cache_changes_nothing_but_the_time(found, tmp_path: Path):
    options = replace(ONE_SHOT, cache=tmp_path / "fits")
    for _ in range(2):
        assert equal(compress(small(), DATA, budget=Budget(params=0.5), options=options).model, found.model)
    assert list((tmp_path / "fits").iterdir())


@pytest.mark.parametrize("metric", ["activations", "plain"])
def test_the_other_metrics_meet_the_budget_with_other_kernels(found, metric):
    made = compress(small(), DATA, budget=Budget(params=0.5), options=replace(ONE_SHOT, metric=metric))
    assert numbers(made.model) <= numbers(small()) / 2
    assert not equal(made.model, found.model)


@pytest.mark.parametrize("name", ODD)
def test_odd_layers_go_through(name):
    net = around(name)
    plan = Plan({"layer": Choice("svd", (3,))})
    made = compress(net, DATA, plan=plan, options=replace(QUICK, recovery=Recovery(steps=1, batch_size=16)))
    assert is_chain(made.model.layer)
    assert made.report.after.params < made.report.before.params
    assert made.model(RGB.apply(DATA.test.images)).isfinite().all()


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_and_double_precision_come_back_as_they_came(dtype):
    net = around("plain").to(dtype)
    before = bits(net)
    made = compress(net, DATA, budget=Budget(params=0.5), options=QUICK)
    assert {p.dtype for p in made.model.parameters()} == {dtype}
    assert {p.dtype for p in net.parameters()} == {dtype}
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert numbers(made.model) <= numbers(net) / 2
    with torch.no_grad():
        one, other = (m.float()(RGB.apply(DATA.test.images)) for m in (copy.deepcopy(net), made.model))
    assert torch.nn.functional.cosine_similarity(one, other).mean() > 0.5


def test_shared_modules_stay_shared():
    made = compress(around("shared"), DATA, plan=Plan({"layer": Choice("svd", (3,))}), options=QUICK)
    assert made.model.layer is made.model.again
    with pytest.raises(PlanError, match="no layer 'again'"):
        compress(around("shared"), DATA, plan=Plan({"again": Choice("svd", (3,))}), options=QUICK)
    assert made.report.after.params == numbers(made.model)


def test_a_depthwise_network_is_kept_with_a_reason():
    net = seeded(lambda: Around(nn.Conv2d(8, 8, 3, groups=8)))
    made = compress(net, DATA, budget=Budget(params=1.0), options=ONE_SHOT)
    assert made.plan["layer"] is None
    assert "depthwise" in made.report.layers[1].reason


def test_an_impossible_budget_is_refused_before_the_first_fit(monkeypatch):
    monkeypatch.setattr(
        "tenfold.pipeline.planning.build_table", lambda *_args, **_options: pytest.fail("fitted")
    )
    with pytest.raises(BudgetError, match="the smallest possible is"):
        compress(small(), DATA, budget=Budget(params=0.001), options=ONE_SHOT)


@pytest.mark.parametrize("selector", ["energy", "evbmf", "uniform", "random"])
def test_every_selector_meets_the_budget(selector):
    made = compress(small(), DATA, budget=Budget(params=0.8), options=replace(ONE_SHOT, selector=selector))
    assert made.report.after.params <= 0.8 * made.report.before.params
    assert made.plan.factorised


def test_the_chosen_snapshot_ships_and_the_last_one_is_told():
    options = replace(ONE_SHOT, training=Training(epochs=4, batch_size=26, rate=0.5, cycles=4))
    made = compress(small(), DATA, plan=Plan({"second": Choice("svd", (3,))}), options=options)
    cycles = [row for row in made.report.history if row["phase"] == "snapshot"]
    assert [row["epoch"] for row in cycles] == [1, 2, 3, 4]
    held_out = material_of(small(), DATA, options).held_out
    best = max(row["held_out_accuracy"] for row in cycles)
    floor = best - Evaluation(best, 0.0, len(held_out), 0.0).standard_error
    chosen = [row for row in cycles if row["held_out_accuracy"] >= floor][-1]
    assert [row for row in cycles if row["chosen"]] == [chosen]
    assert evaluate(made.model, held_out, RGB).loss == pytest.approx(chosen["held_out_loss"], rel=1e-5)
    assert made.report.after.accuracy == evaluate(made.model, DATA.test, RGB).accuracy
    assert made.report.after_last is not None
    assert made.report.after_last.params == made.report.after.params


def test_measured_rises_stand_beside_the_predicted_ones():
    plan = Plan({"second": Choice("svd", (3,))})
    rows = {x.name: x for x in compress(small(), DATA, plan=plan, options=ONE_SHOT).report.layers}
    assert rows["second"].measured_rise is not None
    assert rows["second"].measured_rise > 0
    assert rows["first"].measured_rise is None
    none = compress(small(), DATA, plan=plan, options=replace(ONE_SHOT, measured=0)).report.layers
    assert all(x.measured_rise is None for x in none)
