"""From random weights to a compressed network, on digits."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tenfold.compression.fit import Fitted
from tenfold.compression.lc import LcState, compressed, kernel_of
from tenfold.compression.oneshot import apply_
from tenfold.compression.prepare import prepare
from tenfold.core.errors import BudgetError, DataError, PlanError, RunError
from tenfold.core.plan import Budget, Choice, Plan
from tenfold.core.report import Report
from tenfold.data.dataset import Splits
from tenfold.data.source import load_data
from tenfold.layers.census import census
from tenfold.layers.chain import is_chain
from tenfold.options import Learning, Options, Searching
from tenfold.pipeline import Session, learn, material_of
from tenfold.pipeline.choosing import Chooser
from tenfold.pipeline.mending import Mending
from tenfold.runs.checkpoint import Checkpoint
from tenfold.train.batches import Augmentation
from tenfold.train.loop import tensors_of
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training

EXECUTION = {"form": "chain", "precision": "float32"}
STEPS = Training(batch_size=16, rate=0.05, schedule="exp-cyclic", **EXECUTION)
QUICK = Options(
    calibration=64,
    held_out=60,
    recovery=Recovery(steps=6, batch_size=16, **EXECUTION),
    training=Training(epochs=4, batch_size=16, rate=0.03, schedule="exp-cyclic", **EXECUTION),
    learning=Learning(training=STEPS, epochs=1, warm_up=2, steps=4, mu=0.1, growth=4.0, choices=3),
    augmentation=Augmentation(0, flip=False),
    workers=1,
)
BUDGET = Budget(params=0.5)
RECOVERED = 6 * 16 / 340  # epochs


class Stopped(Exception):
    """Whatever ends a process."""


def splits() -> Splits:
    data = load_data("digits")
    chosen = torch.arange(400)
    return Splits(data.train.subset(chosen), data.test.subset(chosen[:150]), data.preprocessing)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=1, groups=2),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


def options(**changes: Any) -> Options:
    return replace(QUICK, learning=replace(QUICK.learning, **changes))


def rows(report: Report, phase: str) -> list[Mapping[str, Any]]:
    return [row for row in report.history if row["phase"] == phase]


@pytest.fixture(scope="module")
def data() -> Splits:
    return splits()


@pytest.fixture(scope="module")
def made(data: Splits) -> Any:
    return learn(network(), data, budget=BUDGET, options=QUICK)


class TestWhole:
    def test_random_weights_become_chains_that_know_the_digits(self, made: Any) -> None:
        assert made.report.before.accuracy < 30
        assert made.report.after.accuracy > 80
        assert made.report.after_last is not None
        names = list(made.plan.factorised)
        assert names
        assert all(is_chain(made.model.get_submodule(name)) for name in names)
        assert not made.model.training

    def test_the_budget_is_met_and_used(self, made: Any) -> None:
        share = made.report.after.params / made.report.before.params
        assert 0.4 < share <= 0.5
        assert made.report.after.params == sum(p.numel() for p in made.model.parameters())

    def test_the_rows_tell_of_every_fit(self, made: Any) -> None:
        fits = rows(made.report, "c step")
        assert [row["number"] for row in fits] == [0, 1, 2, 3, 4]
        assert [row["epoch"] for row in fits] == [2, 3, 4, 5, 6]
        assert [row["mu"] for row in fits] == pytest.approx([0.1, 0.1, 0.4, 1.6, 6.4])
        assert fits[-1]["feasibility"] < 0.2 < fits[1]["feasibility"]
        names = ("inp", "middle", "out")
        chosen = {n: dict(zip(names, c.rank, strict=True)) for n, c in made.plan.factorised.items()}
        assert fits[-1]["ranks"] == {"0": {}, "4": {}, "7": {}, "12": {}} | chosen
        assert [row["step"] for row in fits] == [21 * epochs for epochs in (2, 3, 4, 5, 6)]
        assert {"dense_loss", "compressed_loss", "dense_accuracy", "compressed_accuracy"} <= set(fits[0])

    def test_the_budget_narrows_until_the_last_choice(self, made: Any) -> None:
        fits, whole = rows(made.report, "c step"), made.report.before.params
        wanted = [whole, whole * 0.5 * 2**0.5, whole * 0.5]
        assert [row["limits"].get("params") for row in fits] == [*map(pytest.approx, wanted), None, None]
        assert all(row["params"] <= row["limits"]["params"] for row in fits[:3])
        assert fits[2]["ranks"] == fits[3]["ranks"] == fits[4]["ranks"]

    def test_epochs_are_counted_over_all_phases(self, made: Any) -> None:
        (counted,) = rows(made.report, "epochs")
        assert counted["total"] == pytest.approx(2 + 4 + RECOVERED + 4)
        steps = rows(made.report, "l step")
        assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
        per_epoch = (400 - 60) // 16
        assert len(steps) == 6 * per_epoch
        # The first budget is that of the whole network: nothing is constrained before the second fit.
        assert not any(row["penalty"] for row in steps[: 3 * per_epoch])
        assert all(row["penalty"] > 0 for row in steps[3 * per_epoch :])

    def test_an_l_step_may_be_a_part_of_an_epoch(self, data: Splits) -> None:
        asked = options(epochs=0.25, warm_up=1, steps=2, choices=1)
        found = learn(network(), data, budget=BUDGET, options=asked)
        part = round(0.25 * ((400 - 60) // 16))
        assert [row["step"] for row in rows(found.report, "c step")] == [21, 21 + part, 21 + 2 * part]
        assert rows(found.report, "epochs")[0]["total"] == pytest.approx(1 + 2 * part / 21 + RECOVERED + 4)
        least = options(epochs=1e-9, warm_up=0, steps=1, choices=1)
        found = learn(network(), data, budget=BUDGET, options=least)
        assert [row["step"] for row in rows(found.report, "c step")] == [0, 1]

    def test_rates_make_a_cycle_in_each_l_step_that_decays_over_them(self, made: Any) -> None:
        steps = rows(made.report, "l step")
        peaks = [max(row["rate"] for row in steps if row["number"] == number) for number in range(4)]
        assert peaks == sorted(peaks, reverse=True)
        last = [row["rate"] for row in steps if row["number"] == 2]
        assert max(last) > 3 * last[0]
        # In the last one mu = 6.4, and 1/mu is still above the rates.
        assert max(row["rate"] for row in steps) <= 0.05

    def test_the_warm_up_has_a_schedule_of_its_own(self, data: Splits) -> None:
        asked = options(warm_up=1, warm_up_schedule="constant", steps=0, choices=1)
        found = learn(network(), data, budget=BUDGET, options=asked)
        assert {row["rate"] for row in rows(found.report, "l step")} == {0.05}

    def test_the_network_given_is_not_changed(self, data: Splits) -> None:
        model = network()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        learn(model, data, budget=BUDGET, options=options(warm_up=1, steps=0, choices=1))
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class TestRanks:
    @pytest.mark.parametrize("scheme", ["tt-tucker", "tucker"])
    def test_evbmf_and_bayes(self, data: Splits, scheme: str) -> None:
        asked = options(warm_up=1, steps=1, choices=2, ranks="evbmf+bayes")
        asked = replace(asked, searching=Searching(trials=6))
        found = learn(network(), data, budget=BUDGET, scheme=scheme, options=asked)
        assert found.report.after.params <= 0.5 * found.report.before.params
        fits = rows(found.report, "c step")
        weakenings = [row["weakening"] for row in fits]
        assert all(w is not None and -1 <= w <= 1 for w in weakenings) == (scheme == "tt-tucker")
        for row in fits:
            assert (row["trials"][0]["origin"], row["trials"][-1]["origin"]) == ("allocation", "tenfold")
            assert len(row["trials"]) == 6
            assert all(x["costs"]["params"] <= row["limits"]["params"] for x in row["trials"])
            best = min(row["trials"], key=lambda trial: trial["loss"])
            assert row["params"] == best["costs"]["params"]

    def test_plans_are_judged_by_the_chains_of_what_is_fitted(self, data: Splits) -> None:
        model, seen = network(), []
        asked = replace(options(ranks="evbmf+bayes"), searching=Searching(trials=1))
        material = material_of(model, data, asked)
        chooser = Chooser(material, Budget(params=0.4), "tt-tucker", None, lambda *_: None, seen.append)
        counted = census(model, data.preprocessing.apply(material.images[:1]))
        layers = {x.name: x for x in prepare(model, counted, {}, metric="plain")}
        targets = {name: 2 * model.get_submodule(name).weight.detach().double() for name in layers}
        (trial,) = chooser.at(2, model, targets, partial(compressed, layers, targets, before={})).tried
        assert trial.plan is not None
        made = copy.deepcopy(model)
        apply_(made, compressed(layers, targets, trial.plan, {}))
        material.re_estimate(made)
        assert trial.loss == pytest.approx(material.judged(made, material.held_out).calibrated, rel=1e-4)
        assert [len(searched.tried) for searched in seen] == [1]

    def test_without_held_out_images_no_plan_can_be_tried(self, data: Splits) -> None:
        asked, told = replace(options(ranks="evbmf+bayes"), held_out=0), []
        with pytest.raises(DataError, match="set held_out"):
            learn(network(), data, budget=BUDGET, options=asked, session=Session(lambda *x: told.append(x)))
        assert told == []

    def test_fixed_ranks_are_chosen_once(self, data: Splits) -> None:
        found = learn(network(), data, budget=BUDGET, options=options(warm_up=0, steps=2, ranks="fixed"))
        fits = rows(found.report, "c step")
        assert len({str(row["ranks"]) for row in fits}) == 1
        assert [bool(row["limits"]) for row in fits] == [True, False, False]

    def test_mu_begins_where_the_rates_of_the_steps_under_it_make_it_felt(self, data: Splits) -> None:
        asked = options(warm_up=1, steps=2, choices=1, mu=None, growth=3.0)
        found = learn(network(), data, plan=Plan({"4": Choice("btd", (2, 3, 3))}), options=asked)
        felt = sum(row["rate"] for row in rows(found.report, "l step") if row["number"] > 0) / 2
        wanted = [0.1 / felt, 0.1 / felt, 0.3 / felt]
        assert [row["mu"] for row in rows(found.report, "c step")] == pytest.approx(wanted)

    def test_a_plan_that_is_given_is_followed(self, data: Splits) -> None:
        plan = Plan({"4": Choice("btd", (2, 3, 3))})
        found = learn(network(), data, plan=plan, options=options(warm_up=1, steps=2))
        assert found.plan.factorised == plan.factorised
        assert [row["limits"] for row in rows(found.report, "c step")] == [{}, {}, {}]

    @pytest.mark.parametrize("scheme", ["btd", "tt", "svd", "cp", "auto"])
    def test_any_scheme(self, data: Splits, scheme: str) -> None:
        asked = replace(options(warm_up=0, steps=1, choices=1), metric="plain")
        found = learn(network(), data, budget=BUDGET, scheme=scheme, options=asked)
        assert found.report.after.params <= 0.5 * found.report.before.params

    def test_what_cannot_be_met_is_refused(self, data: Splits) -> None:
        with pytest.raises(BudgetError, match="the smallest possible"):
            learn(network(), data, budget=Budget(params=0.01), options=options(warm_up=0, choices=1))
        with pytest.raises(PlanError, match="neither a budget nor a plan"):
            learn(network(), data, options=options(warm_up=0))


class TestTeacher:
    def test_chains_learn_from_the_l_step_that_knew_the_held_out_images_best(
        self, data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taught: list[nn.Module] = []

        class Seen(Mending):
            def recover(self) -> None:
                taught.append(self.material.original)
                super().recover()

        monkeypatch.setattr("tenfold.pipeline.learning.Mending", Seen)
        # So strict that the L steps under the constraint know less than the one before it.
        asked = options(warm_up=3, steps=2, choices=1, mu=1e3)
        folder = Checkpoint(tmp_path / "checkpoint")
        found = learn(
            network(), data, budget=Budget(params=0.1), options=asked, session=Session(checkpoint=folder)
        )
        known = [row["dense_accuracy"] for row in rows(found.report, "c step")]
        assert known[0] == max(known) > known[-1]
        kept = folder.load("learning") or {}
        assert kept["best"][0] == known[0]
        (teacher,) = taught
        assert all(map(torch.equal, tensors_of(teacher), kept["best"][1]))
        assert not all(map(torch.equal, tensors_of(teacher), kept["tensors"]))
        assert [row["phase"] for row in found.report.history if row["phase"].startswith("recover")][-1] == (
            "recovered"
        )

    def test_without_held_out_images_it_is_the_last_one(self, data: Splits, tmp_path: Path) -> None:
        folder = Checkpoint(tmp_path / "checkpoint")
        asked = replace(options(warm_up=1, steps=2, choices=1), held_out=0)
        learn(network(), data, budget=BUDGET, options=asked, session=Session(checkpoint=folder))
        kept = folder.load("learning") or {}
        assert all(map(torch.equal, kept["best"][1], kept["tensors"]))


class TestTightening:
    def test_it_stops_when_it_is_feasible_but_not_before_the_last_choice(self, data: Splits) -> None:
        found = learn(network(), data, budget=BUDGET, options=options(steps=9, tolerance=1.0))
        assert [row["number"] for row in rows(found.report, "c step")] == [0, 1, 2]
        assert rows(found.report, "epochs")[0]["total"] == pytest.approx(2 + 2 + RECOVERED + 4)

    def test_the_quadratic_penalty_has_no_multipliers(self, data: Splits, tmp_path: Path) -> None:
        state = lc_state(data, tmp_path, options(steps=2, multipliers=False))
        assert not any(multiplier.any() for multiplier in state.multipliers.values())

    def test_the_chains_that_train_are_those_of_the_last_fit(self, data: Splits, tmp_path: Path) -> None:
        asked = replace(options(steps=2), recovery=Recovery(steps=0), training=Training(epochs=0))
        folder = Checkpoint(tmp_path / "checkpoint")
        found = learn(network(), data, budget=BUDGET, options=asked, session=Session(checkpoint=folder))
        state = LcState.from_rows((folder.load("learning") or {})["state"])
        for name, fitted in state.fits.items():
            assert torch.allclose(chain_weights(found.model, name, fitted), fitted.weights[0].float())
            shipped = kernel_of(fitted, state.weights[name])
            assert float((state.weights[name] - shipped).norm()) > 0


class TestTrained:
    def test_a_plan_that_names_no_layer_trains_the_network_itself(self, dense: Any) -> None:
        assert dense.report.after.params == dense.report.before.params
        assert not dense.plan.factorised
        assert dense.report.after.accuracy > 85
        assert rows(dense.report, "epochs") == [{"phase": "epochs", "total": 6}]

    @pytest.mark.parametrize("scheme", ["btd", "tt-tucker"])
    def test_a_trained_network_is_compressed_in_few_epochs(
        self, data: Splits, dense: Any, scheme: str
    ) -> None:
        asked = replace(options(warm_up=0, steps=2, choices=2), training=replace(QUICK.training, epochs=1))
        found = learn(dense.model, data, budget=BUDGET, scheme=scheme, options=asked)
        assert found.report.before.accuracy == dense.report.after.accuracy
        assert found.report.after.params <= 0.5 * found.report.before.params
        assert found.report.after.accuracy > dense.report.after.accuracy - 6
        anew = learn(network(), data, budget=BUDGET, scheme=scheme, options=asked)
        assert found.report.after.accuracy > anew.report.after.accuracy
        assert {choice.scheme for choice in found.plan.factorised.values()} <= {scheme, "svd"}


@pytest.fixture(scope="module")
def dense(data: Splits) -> Any:
    asked = replace(options(warm_up=0, steps=0), recovery=Recovery(steps=0))
    asked = replace(asked, training=replace(QUICK.training, epochs=6))
    return learn(network(), data, plan=Plan({}), options=asked)


def chain_weights(model: nn.Module, name: str, fitted: Fitted) -> Tensor:
    first: Tensor = model.get_submodule(name)[0].weight  # type: ignore[index]
    return first.reshape(fitted.weights[0].shape)


def lc_state(data: Splits, tmp_path: Path, asked: Options) -> LcState:
    folder = Checkpoint(tmp_path / "checkpoint")
    learn(network(), data, budget=BUDGET, options=asked, session=Session(checkpoint=folder))
    return LcState.from_rows((folder.load("learning") or {})["state"])


@pytest.fixture
def _every_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tenfold.train.loop._SECONDS", 0)
    monkeypatch.setattr("tenfold.train.loop._KEPT", 4)
    return


def stopped_at(phase: str, count: int) -> Any:
    """Progress that ends the process when a phase was told so many times."""
    told = 0

    def tell(name: str, done: int, total: int) -> None:
        nonlocal told
        told += name == phase
        if told == count:
            raise Stopped

    return tell


@pytest.mark.usefixtures("_every_state")
class TestGoingOn:
    def test_stopped_anywhere_it_ends_with_the_same_bits(
        self, data: Splits, tmp_path: Path, made: Any
    ) -> None:
        moments = [
            ("learn", 7),
            ("learn", 35),
            ("candidates", 2),
            ("learn", 30),
            ("refine", 1),
            ("learn", 50),
        ]
        moments += [("train", 6), ("evaluate", 1)]
        for phase, count in moments:
            session = Session(stopped_at(phase, count), checkpoint=Checkpoint(tmp_path / "checkpoint"))
            with pytest.raises(Stopped):
                learn(network(), data, budget=BUDGET, options=QUICK, session=session)
        session = Session(checkpoint=Checkpoint(tmp_path / "checkpoint"))
        found = learn(network(), data, budget=BUDGET, options=QUICK, session=session)
        assert found.plan == made.plan
        for name, tensor in made.model.state_dict().items():
            assert torch.equal(found.model.state_dict()[name], tensor), name
        assert found.report.history == made.report.history
        assert found.report.after == made.report.after

    def test_another_network_is_refused(self, data: Splits, tmp_path: Path) -> None:
        session = Session(checkpoint=Checkpoint(tmp_path / "checkpoint"))
        few = options(warm_up=0, steps=0, choices=1)
        learn(network(), data, budget=BUDGET, options=few, session=session)
        with pytest.raises(RunError, match="not those that the run was begun with"):
            learn(network(1), data, budget=BUDGET, options=few, session=session)


def test_ranks_are_chosen_for_what_is_fitted_not_for_the_kernels_themselves(data: Splits) -> None:
    model = network()
    material = material_of(model, data, replace(QUICK, metric="plain"))
    chooser = Chooser(material, Budget(params=0.4), "tt-tucker", None, lambda *_: None, lambda _: None)

    def unused(_: Plan) -> dict[str, Fitted]:
        raise AssertionError

    targets = {name: model.get_submodule(name).weight.detach().double() for name in ("0", "4", "7", "12")}
    alike = chooser.at(2, model, targets, unused).plan
    plain = chooser.at(2, model, {**targets, "4": torch.ones_like(targets["4"])}, unused).plan
    assert alike["4"] is not None
    assert plain["4"] is not None
    assert min(plain["4"].rank) < min(alike["4"].rank)
    assert plain["7"] != alike["7"]  # has what the other one no longer needs
