"""The laws that every scheme obeys.

A scheme gets all of them by being registered (`tests/schemes/test_conformance.py`); what it has to add
is the closed form of its parameters in `closed_forms.py`.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from closed_forms import CLOSED_FORMS
from tenfold.algebra.chain import chain_kernel
from tenfold.algebra.metric import Metric
from tenfold.core.errors import NonFiniteError, RankError, ShapeError
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import ConvSpec, Rank, params
from tenfold.schemes.base import Scheme, Weights

# Float64 arithmetic on kernels of a few hundred numbers: some 1000 roundings of 1.1e-16.
ROUNDING = 1e-12
# A dozen sweeps of an iterative solver multiply a rounding error by its condition.
SWEPT = 1e-8
# Alternating least squares ends where its smallest ridge (1e-12) does.
RIDGE_FLOOR = 1e-11
ITERATIVE = ("cp", "btd")
FEW = 12
LAWS = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normally distributed numbers, float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def spec_of(weight: Tensor) -> ConvSpec:
    """The layer that `weight` (out, in, kh, kw) is the kernel of."""
    n_out, n_in, kh, kw = weight.shape
    return ConvSpec(n_out, n_in, (kh, kw))


def rank_of(scheme: Scheme, weight: Tensor, *wanted: int) -> Rank:
    """The feasible rank nearest below `wanted`, of which a scheme takes as many as it has names."""
    return scheme.clip(spec_of(weight), wanted[: len(scheme.rank_names)])


def kernel_of(scheme: Scheme, weight: Tensor, rank: Rank, weights: Weights) -> Tensor:
    """The kernel (float64) that the fitted `weights` stand for."""
    return chain_kernel(scheme.layout(spec_of(weight), rank), [w.double() for w in weights])


def distance(one: Tensor, other: Tensor) -> float:
    """||one - other|| / ||other||, Frobenius."""
    return float((one - other).norm() / other.norm())


def planted(scheme: Scheme, weight: Tensor, rank: Rank, seed: int) -> Tensor:
    """A kernel of the shape of `weight` that `scheme` can meet exactly at `rank`."""
    stages = scheme.layout(spec_of(weight), rank)
    return chain_kernel(stages, [noise(*stage.shape, seed=seed + n) for n, stage in enumerate(stages)])


def sample_metric(weight: Tensor, seed: int = 0) -> Metric:
    """A metric whose three factors are far from the identity and mix everything."""

    def moment(n: int, shift: int) -> Tensor:
        draw = noise(n, 2 * n, seed=seed + shift)
        return draw @ draw.T * (3.0 + shift)

    n_out, n_in, kh, kw = weight.shape
    return Metric.from_moments(moment(n_out, 1), moment(n_in, 2), moment(kh * kw, 3), (kh, kw))


@st.composite
def kernels(draw: st.DrawFn) -> Tensor:
    """A small random kernel: odd sizes, non-square, pointwise, single channels."""
    n_out, n_in = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    kh, kw = draw(st.sampled_from([(3, 3), (1, 1), (2, 3), (3, 1), (1, 4)]))
    return noise(n_out, n_in, kh, kw, seed=draw(st.integers(0, 999)))


KERNELS = kernels()
WANTED = st.tuples(*[st.integers(1, 9)] * 5)
SAMPLE = noise(9, 8, 3, 2, seed=1)
BIG = (10**6,) * 5


class SchemeLaws:
    """Tests that take a `scheme`; a subclass parametrises it."""

    # 1. shapes and ranks

    @LAWS
    @given(KERNELS, WANTED)
    def test_fit_has_the_shapes_of_the_layout(self, scheme: Scheme, weight: Tensor, wanted: Rank) -> None:
        rank = rank_of(scheme, weight, *wanted)
        stages = scheme.layout(spec_of(weight), rank)
        fit = scheme.fit(weight, rank, sweeps=2)
        assert [tuple(w.shape) for w in fit.weights] == [stage.shape for stage in stages]
        assert all(w.is_contiguous() for w in fit.weights)

    @LAWS
    @given(KERNELS, WANTED)
    def test_stages_join_and_cover_the_kernel(self, scheme: Scheme, weight: Tensor, wanted: Rank) -> None:
        stages = scheme.layout(spec_of(weight), rank_of(scheme, weight, *wanted))
        channels = [stages[0].inp, *(stage.out for stage in stages)]
        assert channels[0] == weight.shape[1]
        assert channels[-1] == weight.shape[0]
        assert [stage.inp for stage in stages] == channels[:-1]
        assert tuple(prod(s.kernel[axis] for s in stages) for axis in (0, 1)) == tuple(weight.shape[2:])
        apart = len([s for s in stages if max(s.kernel) > 1]) > 1
        assert not apart or scheme.separable

    @LAWS
    @given(KERNELS, WANTED)
    def test_clip_is_idempotent_and_never_raises_a_rank(
        self, scheme: Scheme, weight: Tensor, wanted: Rank
    ) -> None:
        asked = wanted[: len(scheme.rank_names)]
        clipped = scheme.clip(spec_of(weight), asked)
        assert len(clipped) == len(asked)
        assert all(1 <= have <= want for have, want in zip(clipped, asked, strict=True))
        assert scheme.clip(spec_of(weight), clipped) == clipped

    def test_clip_keeps_a_feasible_rank(self, scheme: Scheme) -> None:
        small = (2,) * len(scheme.rank_names)
        assert scheme.clip(spec_of(SAMPLE), small) == small

    @LAWS
    @given(KERNELS, WANTED)
    def test_parameters_follow_the_closed_form(self, scheme: Scheme, weight: Tensor, wanted: Rank) -> None:
        rank = rank_of(scheme, weight, *wanted)
        stages = scheme.layout(spec_of(weight), rank)
        expected = CLOSED_FORMS[scheme.name](tuple(weight.shape), rank)
        assert params(stages, bias=False) == expected
        assert sum(w.numel() for w in scheme.fit(weight, rank, sweeps=1).weights) == expected
        assert params(stages, bias=True) == expected + weight.shape[0]

    # 2. what a fit reaches

    def test_exact_at_full_rank(self, scheme: Scheme) -> None:
        weight = noise(4, 3, 2, 2, seed=3)
        fit = scheme.fit(weight, rank_of(scheme, weight, *BIG))
        assert fit.error < (RIDGE_FLOOR if scheme.name in ITERATIVE else ROUNDING)

    def test_planted_kernel_is_recovered(self, scheme: Scheme) -> None:
        weight = noise(8, 7, 3, 3)
        rank = rank_of(scheme, weight, 2, 2, 2, 2, 2)
        for seed in (10, 20):
            kernel = planted(scheme, weight, rank, seed)
            best = min(scheme.fit(kernel, rank, seed=n).error for n in range(3))
            assert best < (RIDGE_FLOOR if scheme.name in ITERATIVE else ROUNDING)

    @LAWS
    @given(KERNELS, WANTED)
    def test_error_is_the_measured_residual(self, scheme: Scheme, weight: Tensor, wanted: Rank) -> None:
        rank = rank_of(scheme, weight, *wanted)
        fit = scheme.fit(weight, rank, sweeps=3)
        measured = distance(kernel_of(scheme, weight, rank, fit.weights), weight)
        assert fit.error == pytest.approx(measured, abs=ROUNDING)
        assert fit.error <= 1 + ROUNDING
        assert (fit.outcome is Outcome.EXACT) == (fit.error < ROUNDING)

    @LAWS
    @given(KERNELS, WANTED)
    def test_more_sweeps_are_never_worse(self, scheme: Scheme, weight: Tensor, wanted: Rank) -> None:
        rank = rank_of(scheme, weight, *wanted)
        errors = [scheme.fit(weight, rank, sweeps=n).error for n in (1, 4, FEW)]
        assert errors[1] <= errors[0] + ROUNDING
        assert errors[2] <= errors[1] + ROUNDING

    @LAWS
    @given(KERNELS, WANTED, st.sampled_from([0.0, 0.1]))
    def test_warm_start_is_never_worse(
        self, scheme: Scheme, weight: Tensor, wanted: Rank, shift: float
    ) -> None:
        # From its own weights, and from those of a neighbour; one sweep, so that an ignored start shows.
        rank = rank_of(scheme, weight, *wanted)
        near = weight + shift * noise(*weight.shape, seed=7)
        start = scheme.fit(near, rank, sweeps=60).weights
        before = distance(kernel_of(scheme, weight, rank, start), weight)
        kept = [w.clone() for w in start]
        assert scheme.fit(weight, rank, start=start, seed=5, sweeps=1).error <= before + ROUNDING
        assert all(torch.equal(w, k) for w, k in zip(start, kept, strict=True))

    def test_exact_start_stays_exact(self, scheme: Scheme) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 2, 2, 2, 2)
        stages = scheme.layout(spec_of(SAMPLE), rank)
        start = tuple(noise(*stage.shape, seed=30 + n) for n, stage in enumerate(stages))
        fit = scheme.fit(chain_kernel(stages, start), rank, start=start)
        assert fit.error < ROUNDING
        assert fit.outcome is Outcome.EXACT

    # 3. invariances

    @pytest.mark.parametrize("factor", [2.0**-20, 2.0**20, 1e-6, 1e6])
    def test_scaled_kernel_gives_scaled_fit(self, scheme: Scheme, factor: float) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 3, 2, 3, 3)
        plain, scaled = (scheme.fit(w, rank, sweeps=FEW) for w in (SAMPLE, factor * SAMPLE))
        kernels = [kernel_of(scheme, SAMPLE, rank, fit.weights) for fit in (plain, scaled)]
        assert scaled.error == pytest.approx(plain.error, rel=SWEPT)
        assert distance(kernels[1], factor * kernels[0]) < SWEPT

    @pytest.mark.parametrize("change", ["permuted", "negated"])
    def test_output_channels_have_no_order_and_no_sign(self, scheme: Scheme, change: str) -> None:
        order, sign = torch.arange(9), -1.0
        if change == "permuted":
            order, sign = torch.randperm(9, generator=torch.Generator().manual_seed(0)), 1.0
        rank = rank_of(scheme, SAMPLE, 3, 3, 3, 3, 3)
        start = scheme.fit(SAMPLE, rank, sweeps=1).weights
        changed = (*start[:-1], sign * start[-1][order])
        starts = [(start, changed)] + ([] if scheme.name in ITERATIVE else [(None, None)])
        for one, other in starts:
            plain = scheme.fit(SAMPLE, rank, start=one, sweeps=FEW)
            moved = scheme.fit(sign * SAMPLE[order], rank, start=other, sweeps=FEW)
            kernels = [kernel_of(scheme, SAMPLE, rank, fit.weights) for fit in (plain, moved)]
            assert distance(kernels[1], sign * kernels[0][order]) < SWEPT

    def test_same_seed_same_bits_and_no_global_generator(self, scheme: Scheme) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 2, 2, 2, 2)
        fits = []
        for state in (1, 2):
            torch.manual_seed(state)
            before = torch.get_rng_state()
            fits.append(scheme.fit(SAMPLE, rank, seed=4, sweeps=120))
            assert torch.equal(before, torch.get_rng_state())
        assert fits[0].error == fits[1].error
        assert all(torch.equal(a, b) for a, b in zip(fits[0].weights, fits[1].weights, strict=True))

    def test_input_is_neither_changed_nor_shared(self, scheme: Scheme) -> None:
        for wanted in ((2,) * 5, BIG):
            weight = SAMPLE[:4, :3, :2].clone()
            rank = rank_of(scheme, weight, *wanted)
            fit = scheme.fit(weight, rank, sweeps=FEW)
            assert torch.equal(weight, SAMPLE[:4, :3, :2])
            before = [w.clone() for w in fit.weights]
            weight.zero_()
            assert all(torch.equal(w, b) for w, b in zip(fit.weights, before, strict=True))

    # 4. kinds of tensors

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_any_float_dtype_is_fitted_in_float64(self, scheme: Scheme, dtype: torch.dtype) -> None:
        weight = SAMPLE.to(dtype)
        rank = rank_of(scheme, weight, 3, 2, 2, 2, 2)
        fit, reference = (scheme.fit(w, rank, sweeps=FEW) for w in (weight, weight.double()))
        assert fit.error == reference.error
        for one, other in zip(fit.weights, reference.weights, strict=True):
            assert one.dtype == dtype
            assert torch.equal(one, other.to(dtype))
        # Each of at most four stages is rounded once, relative to factors that do not cancel here.
        shipped = distance(kernel_of(scheme, weight, rank, fit.weights), weight.double())
        assert shipped == pytest.approx(fit.error, abs=8 * torch.finfo(dtype).eps)

    def test_non_contiguous_kernel(self, scheme: Scheme) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 2, 2, 2, 2)
        strided = SAMPLE.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
        assert not strided.is_contiguous()
        fits = [scheme.fit(w, rank, sweeps=FEW) for w in (SAMPLE, strided)]
        kernels = [kernel_of(scheme, SAMPLE, rank, fit.weights) for fit in fits]
        assert distance(kernels[1], kernels[0]) < SWEPT
        assert all(w.is_contiguous() for w in fits[1].weights)

    def test_parameter_is_fitted_without_a_graph(self, scheme: Scheme) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 2, 2, 2, 2)
        fit = scheme.fit(torch.nn.Parameter(SAMPLE.clone()), rank, sweeps=FEW)
        assert not any(w.requires_grad for w in fit.weights)

    def test_gradient_reaches_every_stage(self, scheme: Scheme) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 2, 2, 2, 2)
        weights = [w.requires_grad_() for w in scheme.fit(SAMPLE, rank, sweeps=FEW).weights]
        (chain_kernel(scheme.layout(spec_of(SAMPLE), rank), weights) * noise(*SAMPLE.shape)).sum().backward()
        assert all(w.grad is not None and float(w.grad.norm()) > 0 for w in weights)

    @pytest.mark.parametrize("shape", [(6, 5, 3, 3), (6, 5, 1, 1), (1, 1, 3, 2)])
    @pytest.mark.parametrize("wanted", [(2,) * 5, BIG])
    def test_zero_kernel_is_exact(self, scheme: Scheme, shape: tuple[int, ...], wanted: Rank) -> None:
        weight = torch.zeros(shape)
        fit = scheme.fit(weight, rank_of(scheme, weight, *wanted))
        assert fit.error == 0
        assert fit.outcome is Outcome.EXACT
        assert all(bool(torch.isfinite(w).all()) for w in fit.weights)
        assert not kernel_of(scheme, weight, rank_of(scheme, weight, *wanted), fit.weights).any()

    # 5. bad input

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_not_finite_is_refused(self, scheme: Scheme, value: float) -> None:
        weight = SAMPLE.clone()
        weight[3, 2, 1, 0] = value
        with pytest.raises(NonFiniteError, match=f"1 of {weight.numel()}"):
            scheme.fit(weight, rank_of(scheme, weight, 2, 2, 2, 2, 2))

    def test_infeasible_ranks_are_refused(self, scheme: Scheme) -> None:
        places = len(scheme.rank_names)
        for rank in ((0,) * places, (2,) * (places - 1) + (-1,)):
            with pytest.raises(RankError, match="at least 1"):
                scheme.fit(SAMPLE, rank)
        for rank in ((), (2,) * (places + 1)):
            with pytest.raises(RankError, match=f"{scheme.name} .*needs {places} number"):
                scheme.fit(SAMPLE, rank)
        most = rank_of(scheme, SAMPLE, *BIG)
        with pytest.raises(RankError) as caught:
            scheme.fit(SAMPLE, (10**6,) * places)
        assert str(caught.value).startswith(f"{scheme.name} rank")
        assert str(caught.value).endswith(f"use {most}")
        assert all(name in str(caught.value) for name in scheme.rank_names)

    @pytest.mark.parametrize("shape", [(0, 3, 3, 3), (3, 0, 3, 3), (3, 3, 0, 1), (4, 3, 3), (4, 3, 3, 3, 3)])
    def test_no_kernel_is_refused(self, scheme: Scheme, shape: tuple[int, ...]) -> None:
        with pytest.raises(ShapeError, match="expected"):
            scheme.fit(torch.ones(shape), (1,) * len(scheme.rank_names))

    def test_start_of_another_rank_is_refused(self, scheme: Scheme) -> None:
        rank, other = rank_of(scheme, SAMPLE, 3, 3, 3), rank_of(scheme, SAMPLE, 2, 2, 2)
        start = scheme.fit(SAMPLE, rank, sweeps=1).weights
        for wrong in (scheme.fit(SAMPLE, other, sweeps=1).weights, start[:-1], (*start, start[-1])):
            with pytest.raises(ShapeError, match=f"{scheme.name} rank .*expected"):
                scheme.fit(SAMPLE, rank, start=wrong)

    def test_start_that_is_not_finite_is_refused(self, scheme: Scheme) -> None:
        rank = rank_of(scheme, SAMPLE, 3, 3, 3)
        first, *rest = scheme.fit(SAMPLE, rank, sweeps=1).weights
        with pytest.raises(NonFiniteError, match="start, stage 0: "):
            scheme.fit(SAMPLE, rank, start=(first * float("nan"), *rest))

    # 6. candidates

    def test_errors_are_those_of_fits(self, scheme: Scheme) -> None:
        ranks = scheme.ladder(SAMPLE)[::3]
        together = scheme.errors(SAMPLE, ranks, sweeps=FEW)
        assert tuple(together) == ranks
        for rank in ranks:
            (alone,) = scheme.errors(SAMPLE, (rank,), sweeps=FEW).values()
            fit = scheme.fit(SAMPLE, rank, sweeps=FEW)
            # A root of eigenvalues, which are right to 1e-16.
            assert alone == pytest.approx(fit.error, abs=1e-8)
            if scheme.name not in ITERATIVE:
                assert together[rank] == alone
        for small, large in pairwise(ranks):
            if scheme.name in ITERATIVE and small[1:] == large[1:]:
                assert together[large] <= together[small] + ROUNDING

    def test_errors_of_a_zero_kernel_are_zero(self, scheme: Scheme) -> None:
        ranks = scheme.ladder(SAMPLE)[:2]
        assert set(scheme.errors(torch.zeros_like(SAMPLE), ranks, sweeps=2).values()) == {0.0}

    @pytest.mark.parametrize("shape", [(24, 16, 3, 3), (16, 24, 3, 5)])
    def test_ladder_spans_small_to_dense(self, scheme: Scheme, shape: tuple[int, ...]) -> None:
        weight = noise(*shape)
        spec, ladder = spec_of(weight), scheme.ladder(weight)
        sizes = sorted(params(scheme.layout(spec, rank), bias=False) / weight.numel() for rank in ladder)
        assert sizes[0] < 0.15
        assert any(0.8 < size <= 1.3 for size in sizes)
        assert all(after / before < 2.2 for before, after in pairwise(sizes))

    @pytest.mark.parametrize("zero", [False, True])
    @LAWS
    @given(KERNELS)
    def test_ladder_is_feasible_and_ascending(self, scheme: Scheme, zero: bool, weight: Tensor) -> None:
        ladder = scheme.ladder(weight * (0 if zero else 1))
        assert list(ladder) == sorted(set(ladder))
        assert all(min(rank) >= 1 and scheme.clip(spec_of(weight), rank) == rank for rank in ladder)

    # 7. the metric

    @pytest.mark.parametrize("wanted", [(3, 2, 2, 2, 2), BIG, (1,) * 5])
    def test_whitened_fit_is_brought_back_exactly(self, scheme: Scheme, wanted: Rank) -> None:
        rank, metric = rank_of(scheme, SAMPLE, *wanted), sample_metric(SAMPLE)
        whitened = metric.whiten(SAMPLE, separable=scheme.separable)
        fit = scheme.fit(whitened, rank, sweeps=FEW)
        last = len(fit.weights) - 1
        weights = tuple(
            metric.unwhiten_stage(w, first=n == 0, last=n == last, separable=scheme.separable)
            for n, w in enumerate(fit.weights)
        )
        change = kernel_of(scheme, SAMPLE, rank, weights) - SAMPLE
        residual = metric.whiten(change, separable=scheme.separable)
        assert float(residual.norm() / whitened.norm()) == pytest.approx(fit.error, rel=1e-9, abs=ROUNDING)
        assert metric.cost(change) == pytest.approx(0.5 * float(metric.whiten(change).square().sum()))
        if not scheme.separable:
            assert metric.cost(change) == pytest.approx(
                0.5 * (fit.error * float(whitened.norm())) ** 2, rel=1e-9, abs=ROUNDING
            )
