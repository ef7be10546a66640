"""Learning-compression on problems whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tenfold.algebra.metric import plain_metric
from tenfold.compression.fit import Fitted
from tenfold.compression.lc import (
    LcSettings,
    LcState,
    Penalty,
    begun,
    compressed,
    kernel_of,
    learn_compress,
    shifted,
)
from tenfold.core.errors import NonFiniteError, RankError
from tenfold.core.plan import Choice, Plan
from tenfold.core.shapes import ConvSpec
from tenfold.ranks.table import Layer

OUT, INP, RANK = 6, 5, 2
MATRIX = ConvSpec(OUT, INP, linear=True)
PLAN = Plan({"fc": Choice("svd", (RANK,))})
SETTINGS = LcSettings(steps=200, mu=0.3, growth=1.02)


def layer(spec: ConvSpec, name: str = "fc") -> Layer:
    zero = torch.zeros(spec.shape, dtype=torch.float64)
    return Layer(name, spec, ((1, 1),), zero, (plain_metric(spec.group.shape),) * spec.groups)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Quadratic:
    """1/2 || rows^1/2 (W - best) columns^1/2 ||^2, whose L step has a closed form."""

    def __init__(self) -> None:
        self.best = draw(OUT, INP)
        self.rows = torch.linspace(0.3, 3, OUT, dtype=torch.float64)
        self.columns = torch.linspace(2, 0.4, INP, dtype=torch.float64)
        self.curvature = self.rows[:, None] * self.columns

    def loss(self, weight: Tensor) -> float:
        return 0.5 * float((self.curvature * (weight - self.best).square()).sum())

    def l_step(self, _: int, penalty: Penalty) -> dict[str, Tensor]:
        pulled = self.curvature * self.best + penalty.mu * penalty.centres["fc"]
        return {"fc": pulled / (self.curvature + penalty.mu)}

    def optimum(self) -> Tensor:
        """Eckart and Young in the coordinates in which the loss is plain."""
        out, inp = self.rows.sqrt()[:, None], self.columns.sqrt()
        left, values, right = torch.linalg.svd(out * self.best * inp, full_matrices=False)
        return (left[:, :RANK] * values[:RANK]) @ right[:RANK] / out / inp


def c_step(number: int, targets: Mapping[str, Tensor], before: Mapping[str, Fitted]) -> dict[str, Fitted]:
    return compressed({"fc": layer(MATRIX)}, targets, PLAN, before)


def states(settings: LcSettings, problem: Quadratic | None = None) -> list[LcState]:
    problem = problem or Quadratic()
    start = begun({"fc": problem.best}, c_step, settings)
    return [start, *learn_compress(start, problem.l_step, c_step, settings)]


def delta(state: LcState) -> Tensor:
    return kernel_of(state.fits["fc"], state.weights["fc"])


class TestOptimum:
    def test_the_known_optimum_is_reached(self) -> None:
        problem = Quadratic()
        found = states(SETTINGS, problem)
        best = problem.loss(problem.optimum())
        first, last = problem.loss(delta(found[0])), problem.loss(delta(found[-1]))
        assert first > 1.02 * best  # the direct compression is not it
        assert last == pytest.approx(best, rel=1e-6)
        assert torch.allclose(delta(found[-1]), problem.optimum(), atol=1e-4)

    def test_the_multipliers_become_the_gradient_of_the_loss(self) -> None:
        problem = Quadratic()
        last = states(SETTINGS, problem)[-1]
        gradient = problem.curvature * (last.weights["fc"] - problem.best)
        assert torch.allclose(last.multipliers["fc"], gradient, atol=1e-4)

    def test_the_quadratic_penalty_reaches_it_at_larger_mu(self) -> None:
        problem = Quadratic()
        found = states(LcSettings(steps=300, mu=1.0, growth=1.02, multipliers=False), problem)
        assert problem.loss(delta(found[-1])) == pytest.approx(problem.loss(problem.optimum()), rel=1e-3)
        assert all(not state.multipliers["fc"].any() for state in found)

    def test_at_the_same_mu_multipliers_are_nearer_to_feasible(self) -> None:
        with_them, without = (
            states(replace(SETTINGS, multipliers=multipliers))[-1] for multipliers in (True, False)
        )
        assert with_them.mu == without.mu
        assert with_them.feasibility < 1e-6
        assert without.feasibility > 1e-2


class TestPenalty:
    def test_value_and_gradient_against_finite_differences(self) -> None:
        penalty = Penalty(0.7, {"a": draw(3, 4, seed=1), "b": draw(2, seed=2)})
        weights = {"a": draw(3, 4, seed=3).requires_grad_(), "b": draw(2, seed=4).requires_grad_()}
        penalty(weights).backward()
        bare = {name: w.detach() for name, w in weights.items()}
        for name, place in (("a", (2, 1)), ("b", (0,))):
            moved = bare[name].clone()
            moved[place] += 1e-5
            up = penalty({**bare, name: moved})
            moved[place] -= 2e-5
            down = penalty({**bare, name: moved})
            slope = float(up - down) / 2e-5
            assert weights[name].grad is not None
            assert float(weights[name].grad[place]) == pytest.approx(slope, rel=1e-6)

    def test_it_is_that_of_the_paper(self) -> None:
        state = states(replace(SETTINGS, steps=3))[-1]
        w = draw(OUT, INP, seed=9)
        wanted = state.mu / 2 * (w - delta(state) - state.multipliers["fc"] / state.mu).square().sum()
        assert float(state.penalty({"fc": w})) == pytest.approx(float(wanted), rel=1e-12)

    def test_unconstrained_kernels_cost_nothing(self) -> None:
        assert float(Penalty(1.0, {})({"a": torch.ones(3)})) == 0

    def test_it_can_be_had_in_another_dtype(self) -> None:
        found = Penalty(1.0, {"a": draw(2)}).like({"a": torch.zeros(2)})
        assert found.centres["a"].dtype == torch.float32


class TestSteps:
    def test_multipliers_and_mu_follow_the_formula_over_three_steps(self) -> None:
        found = states(replace(SETTINGS, steps=3, mu=0.5, growth=2.0))
        multiplier, mu = torch.zeros(OUT, INP, dtype=torch.float64), 0.5
        for state in found[1:]:
            multiplier = multiplier - mu * (state.weights["fc"] - delta(state))
            mu *= 2
            assert torch.equal(state.multipliers["fc"], multiplier)
            assert state.mu == mu
        assert multiplier.abs().max() > 0.01

    def test_the_order_is_l_c_lambda_mu(self) -> None:
        told: list[tuple[str, int]] = []
        problem, seen = Quadratic(), []

        def learn(number: int, penalty: Penalty) -> dict[str, Tensor]:
            told.append(("L", number))
            seen.append(penalty)
            return problem.l_step(number, penalty)

        def fit(
            number: int, targets: Mapping[str, Tensor], before: Mapping[str, Fitted]
        ) -> dict[str, Fitted]:
            told.append(("C", number))
            seen.append(targets["fc"])
            return c_step(number, targets, before)

        start = begun({"fc": problem.best}, fit, SETTINGS)
        one, two = learn_compress(start, learn, fit, replace(SETTINGS, steps=2))
        assert told == [("C", 0), ("L", 1), ("C", 1), ("L", 2), ("C", 2)]
        assert torch.equal(seen[0], problem.best)
        # The L step sees the mu and lambda that the last step left, the C step the same lambda and mu.
        assert seen[3].mu == one.mu == SETTINGS.mu * SETTINGS.growth
        assert torch.equal(seen[3].centres["fc"], delta(one) + one.multipliers["fc"] / one.mu)
        assert torch.equal(seen[4], two.weights["fc"] - one.multipliers["fc"] / one.mu)
        assert torch.equal(seen[4], shifted(two.weights, one)["fc"])

    def test_it_stops_once_it_is_feasible(self) -> None:
        found = states(replace(SETTINGS, tolerance=1e-2))
        assert len(found) < SETTINGS.steps
        assert found[-1].feasibility <= 1e-2 < found[-2].feasibility
        misses = float((found[-1].weights["fc"] - delta(found[-1])).norm() / found[-1].weights["fc"].norm())
        assert found[-1].feasibility == pytest.approx(misses, rel=1e-12)

    def test_a_kept_state_goes_on_with_the_same_bits(self, tmp_path: object) -> None:
        whole = states(replace(SETTINGS, steps=6))
        torch.save(whole[3].to_rows(), f"{tmp_path}/state.pt")
        rows = torch.load(f"{tmp_path}/state.pt", weights_only=True)
        rest = list(
            learn_compress(LcState.from_rows(rows), Quadratic().l_step, c_step, replace(SETTINGS, steps=6))
        )
        assert [state.number for state in rest] == [4, 5, 6]
        for one, other in zip(rest, whole[4:], strict=True):
            assert torch.equal(one.weights["fc"], other.weights["fc"])
            assert torch.equal(one.multipliers["fc"], other.multipliers["fc"])
            assert torch.equal(delta(one), delta(other))
            assert (one.mu, one.feasibility) == (other.mu, other.feasibility)

    def test_states_do_not_share_memory_with_the_one_who_trains(self) -> None:
        live = torch.ones(OUT, INP)
        start = begun({"fc": live}, c_step, SETTINGS)
        live.zero_()
        assert float(start.weights["fc"].sum()) == OUT * INP

    def test_a_kernel_that_is_not_finite_is_an_error(self) -> None:
        start = begun({"fc": Quadratic().best}, c_step, SETTINGS)

        def broken(number: int, penalty: Penalty) -> dict[str, Tensor]:
            return {"fc": torch.full((OUT, INP), torch.nan)}

        with pytest.raises(NonFiniteError, match=r"LC step 1: the kernel of fc is not finite at mu = 0.3"):
            next(learn_compress(start, broken, c_step, SETTINGS))

    def test_layers_come_under_the_constraint_and_leave_it(self) -> None:
        problem = Quadratic()
        plans = [PLAN, Plan({"fc": None}), PLAN]

        def fit(
            number: int, targets: Mapping[str, Tensor], before: Mapping[str, Fitted]
        ) -> dict[str, Fitted]:
            return compressed({"fc": layer(MATRIX)}, targets, plans[number], before)

        def learn(number: int, penalty: Penalty) -> dict[str, Tensor]:
            return problem.l_step(number, penalty) if penalty.centres else {"fc": problem.best}

        start = begun({"fc": problem.best}, fit, SETTINGS)
        free, bound = learn_compress(start, learn, fit, replace(SETTINGS, steps=2))
        assert (free.fits, free.multipliers, free.feasibility) == ({}, {}, 0.0)
        wanted = -free.mu * (problem.best - delta(bound))
        assert torch.allclose(bound.multipliers["fc"], wanted, rtol=1e-12)


class TestCompressed:
    SPEC = ConvSpec(8, 12, (3, 3), padding=(1, 1), bias=False)

    @pytest.mark.parametrize(
        ("scheme", "rank"),
        [
            ("tt-tucker", (4, 6, 4)),
            ("tt", (4, 6, 4)),
            ("tucker", (4, 4)),
            ("btd", (2, 3, 3)),
            ("cp", (6,)),
            ("svd", (4,)),
        ],
    )
    def test_any_scheme_is_warm_started_and_never_worse(self, scheme: str, rank: tuple[int, ...]) -> None:
        layers = {"conv": layer(self.SPEC, "conv")}
        plan = Plan({"conv": Choice(scheme, rank)})
        kernel = draw(*self.SPEC.shape)
        first = compressed(layers, {"conv": kernel}, plan, {}, sweeps=5)
        again = compressed(layers, {"conv": kernel}, plan, first, sweeps=5)
        assert again["conv"].error <= first["conv"].error * (1 + 1e-9)
        near = kernel + 1e-3 * draw(*self.SPEC.shape, seed=1)
        kept = compressed(layers, {"conv": near}, plan, first, sweeps=1)["conv"]
        before = float((near - kernel_of(first["conv"], near)).norm() / near.norm())
        assert kept.error <= before * (1 + 1e-9)

    def test_groups_are_warm_started_one_by_one(self) -> None:
        spec = ConvSpec(8, 12, (3, 3), groups=2, bias=False)
        plan = Plan({"conv": Choice("tt-tucker", (3, 4, 3))})
        layers, kernel = {"conv": layer(spec, "conv")}, draw(*spec.shape)
        first = compressed(layers, {"conv": kernel}, plan, {}, sweeps=200)
        again = compressed(layers, {"conv": kernel}, plan, first, sweeps=1)
        assert again["conv"].error == pytest.approx(first["conv"].error, rel=1e-6)

    def test_another_rank_starts_anew(self) -> None:
        layers, kernel = {"conv": layer(self.SPEC, "conv")}, draw(*self.SPEC.shape)
        first = compressed(layers, {"conv": kernel}, Plan({"conv": Choice("tucker", (4, 4))}), {})
        more = compressed(layers, {"conv": kernel}, Plan({"conv": Choice("tucker", (6, 6))}), first)
        assert more["conv"].error < first["conv"].error

    def test_a_rank_that_does_not_fit_is_refused(self) -> None:
        plan = Plan({"conv": Choice("tucker", (40, 4))})
        with pytest.raises(RankError, match="conv"):
            compressed({"conv": layer(self.SPEC, "conv")}, {"conv": draw(*self.SPEC.shape)}, plan, {})
