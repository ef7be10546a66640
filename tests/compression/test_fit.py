from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tenfold.algebra.chain import chain_kernel
from tenfold.algebra.metric import Metric, plain_metric
from tenfold.compression.fit import balance, fit_layer, fit_plan
from tenfold.core.errors import NonFiniteError, PlanError, RankError, UnknownNameError
from tenfold.core.plan import Choice, Plan
from tenfold.core.shapes import ConvSpec, Stage, repeat_groups
from tenfold.ranks.table import Layer
from tenfold.schemes.registry import SCHEMES, get_scheme

SIZES = ((8, 8),)
# Roots and their inverses: three factors of condition (n / 1e-4)^1/2, some 300, times float64's 1e-16.
ROUNDING = 1e-8


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def moment(n: int, seed: int) -> Tensor:
    """A covariance (n, n) of trace n that no direction is missing from."""
    rows = noise(3 * n, n, seed=seed)
    gram = rows.T @ rows
    return gram * n / gram.trace()


def metric_of(spec: ConvSpec, seed: int = 0) -> Metric:
    """Some metric for one group of `spec`."""
    one = spec.group
    k = one.kernel[0] * one.kernel[1]
    return Metric.from_moments(
        moment(one.out, seed), moment(one.inp, seed + 1), moment(k, seed + 2), one.kernel
    )


def layer_of(spec: ConvSpec, *, weighted: bool = True, seed: int = 0) -> Layer:
    metrics = tuple(
        metric_of(spec, seed + 10 * g) if weighted else plain_metric(spec.group.shape)
        for g in range(spec.groups)
    )
    return Layer("conv", spec, SIZES, noise(*spec.shape, seed=seed), metrics)


CHOICES = {
    "svd": (3,),
    "svd-mirrored": (3,),
    "tucker": (4, 3),
    "cp": (7,),
    "btd": (3, 2, 2),
    "tt": (3, 4, 4),
    "tt-tucker": (3, 4, 4),
}
SPEC = ConvSpec(8, 6, (3, 3), padding=(1, 1), bias=True)


def test_every_scheme_has_a_choice_here():
    assert set(CHOICES) == set(SCHEMES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scheme", CHOICES)
def test_error_and_rise_are_those_of_what_ships(scheme, weighted):
    layer = layer_of(SPEC, weighted=weighted)
    fitted = fit_layer(layer, Choice(scheme, CHOICES[scheme]))
    assert [tuple(w.shape) for w in fitted.weights] == [s.shape for s in fitted.stages]
    assert fitted.stages == get_scheme(scheme).layout(SPEC, CHOICES[scheme])
    assert fitted.choice == Choice(scheme, CHOICES[scheme])
    change = layer.weight - chain_kernel(fitted.stages, fitted.weights)
    assert 0.05 < fitted.error < 1 or weighted
    assert fitted.error == pytest.approx(float(change.norm() / layer.weight.norm()), rel=ROUNDING)
    assert fitted.rise == pytest.approx(layer.metrics[0].cost(change), rel=ROUNDING)
    assert fitted.outcome


@pytest.mark.parametrize("scheme", ["svd", "tucker", "btd"])
def test_the_metric_lowers_the_cost_and_not_the_error(scheme):
    weighted, plain = layer_of(SPEC), layer_of(SPEC, weighted=False)
    choice = Choice(scheme, CHOICES[scheme])
    with_metric, without = fit_layer(weighted, choice), fit_layer(plain, choice)
    change = plain.weight - chain_kernel(without.stages, without.weights)
    assert with_metric.rise < weighted.metrics[0].cost(change)
    assert with_metric.error > without.error


@pytest.mark.parametrize("kernel", [(3, 3), (3, 1), (1, 5), (1, 1), (2, 3)])
@pytest.mark.parametrize("scheme", ["svd", "svd-mirrored", "tucker", "tt", "tt-tucker"])
def test_full_rank_is_exact_in_any_metric(scheme, kernel):
    layer, method = layer_of(ConvSpec(6, 5, kernel)), get_scheme(scheme)
    rank = method.clip(layer.spec, (99,) * len(method.rank_names))
    fitted = fit_layer(layer, Choice(scheme, rank))
    assert fitted.error < ROUNDING
    assert fitted.rise < ROUNDING**2 * layer.metrics[0].cost(layer.weight)


@pytest.mark.parametrize("kernel", [(3, 1), (1, 5)])
def test_along_one_axis_every_metric_is_separable(kernel):
    layer = layer_of(ConvSpec(6, 5, kernel))
    whole, parts = (layer.metrics[0].whiten(layer.weight, separable=flag) for flag in (False, True))
    torch.testing.assert_close(parts, whole, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("scheme", ["svd", "tucker", "btd", "tt"])
def test_a_grouped_layer_is_fitted_group_by_group(scheme):
    spec = ConvSpec(16, 12, (3, 3), groups=2)
    layer, choice = layer_of(spec), Choice(scheme, CHOICES[scheme])
    whole = fit_layer(layer, choice)
    parts = [
        fit_layer(Layer("part", spec.group, SIZES, kernel, (metric,)), choice)
        for kernel, metric in zip(layer.kernels(), layer.metrics, strict=True)
    ]
    assert whole.stages == repeat_groups(parts[0].stages, 2)
    for n, weight in enumerate(whole.weights):
        assert torch.equal(weight, torch.cat([part.weights[n] for part in parts]))
    kernels = [chain_kernel(part.stages, part.weights) for part in parts]
    torch.testing.assert_close(
        chain_kernel(whole.stages, whole.weights), torch.cat(kernels), rtol=0, atol=1e-12
    )
    assert whole.rise == pytest.approx(sum(part.rise for part in parts), rel=ROUNDING)


def block_norms(stage: Tensor, blocks: int, *, last: bool) -> Tensor:
    """Norms of the parts of a stage that belong to each block."""
    parts = stage.chunk(blocks, dim=1 if last else 0)
    return torch.stack([part.norm() for part in parts])


@pytest.mark.parametrize(
    "stages",
    [
        (Stage(6, 5), Stage(9, 6, (3, 3), groups=3), Stage(7, 9)),
        (Stage(4, 5, (3, 3)), Stage(7, 4)),
        (Stage(4, 5), Stage(4, 4, (3, 1)), Stage(3, 4, (1, 3)), Stage(7, 3)),
        (Stage(7, 5, (3, 3)),),
    ],
    ids=["blocks", "two", "four", "one"],
)
def test_balance_keeps_the_kernel_and_evens_out_the_norms(stages):
    weights = tuple(noise(*stage.shape, seed=n) * 10.0**n for n, stage in enumerate(stages))
    balanced = balance(stages, weights)
    kernel = chain_kernel(stages, weights)
    distance = (chain_kernel(stages, balanced) - kernel).norm() / kernel.norm()
    assert distance < 1e-13  # some hundred roundings
    blocks = max(stage.groups for stage in stages)
    norms = torch.stack(
        [block_norms(w, blocks, last=0 < n == len(stages) - 1) for n, w in enumerate(balanced)]
    )
    torch.testing.assert_close(norms, norms[:1].expand_as(norms), rtol=1e-12, atol=0)


def test_balance_leaves_a_block_with_a_zero_stage_as_it_is():
    stages = (Stage(6, 5), Stage(9, 6, (3, 3), groups=3), Stage(7, 9))
    weights = tuple(noise(*stage.shape, seed=n) for n, stage in enumerate(stages))
    weights[1][3:6] = 0  # the middle block's core
    first, core, last = balance(stages, weights)
    assert torch.equal(first[2:4], weights[0][2:4])
    assert torch.equal(last[:, 3:6], weights[2][:, 3:6])
    assert core[3:6].eq(0).all()
    assert all(w.isfinite().all() for w in (first, core, last))


@pytest.mark.parametrize("scheme", CHOICES)
def test_a_zero_kernel_stays_zero_and_can_learn(scheme):
    layer = layer_of(SPEC)
    layer = Layer(layer.name, layer.spec, SIZES, torch.zeros_like(layer.weight), layer.metrics)
    fitted = fit_layer(layer, Choice(scheme, CHOICES[scheme]))
    assert (fitted.error, fitted.rise) == (0, 0)
    weights = [w.clone().requires_grad_() for w in fitted.weights]
    (chain_kernel(fitted.stages, weights) * noise(*SPEC.shape, seed=5)).sum().backward()
    assert any(w.grad is not None and w.grad.abs().sum() > 0 for w in weights)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice("svd", (9,)), "largest that does is (8,)"),
        (Choice("tucker", (4, 7)), "largest that does is (4, 6)"),
        (Choice("svd", (3, 3)), "give rank"),
        (Choice("btd", (3,)), "give blocks, out, inp"),
        (Choice("btd", ()), "give blocks, out, inp"),
        (Choice("svd", (0,)), "at least 1"),
        (Choice("btd", (4, 0, 3)), "at least 1"),
        (Choice("tt", (3, -1, 3)), "at least 1"),
    ],
)
def test_a_rank_that_does_not_fit_names_the_layer(choice, words):
    with pytest.raises(RankError) as caught:
        fit_layer(layer_of(SPEC), choice)
    assert str(caught.value).startswith(f"conv: {choice.scheme} rank {choice.rank}")
    assert words in str(caught.value)


def test_blocks_of_a_linear_layer_are_refused_by_name():
    layer = layer_of(ConvSpec(8, 6, linear=True))
    with pytest.raises(PlanError, match=r"^conv: cp rank \(2,\).*use svd"):
        fit_layer(layer, Choice("cp", (2,)))
    assert fit_layer(layer, Choice("svd", (6,))).error < ROUNDING


def test_an_unknown_scheme_is_refused():
    with pytest.raises(UnknownNameError, match="tucker"):
        fit_layer(layer_of(SPEC), Choice("tuker", (1, 1)))


def test_nan_is_refused():
    layer = layer_of(SPEC)
    layer.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteError):
        fit_layer(layer, Choice("svd", (2,)))


def test_a_plan_is_fitted_layer_by_layer():
    layers = [
        Layer(name, SPEC, SIZES, noise(*SPEC.shape, seed=n), (plain_metric(SPEC.shape),))
        for n, name in enumerate("abc")
    ]
    plan = Plan({"c": Choice("svd", (2,)), "b": None, "a": Choice("cp", (5,))})
    told = []
    fits = fit_plan(layers, plan, seed=3, progress=lambda *now: told.append(now))
    assert list(fits) == ["c", "a"]
    assert told == [(1, 2), (2, 2)]
    for name, n in (("c", 2), ("a", 0)):
        alone = fit_layer(layers[n], plan[name], seed=3)
        assert all(torch.equal(x, y) for x, y in zip(fits[name].weights, alone.weights, strict=True))
    other = fit_layer(layers[0], plan["a"], seed=1)  # one whose own start wins, not the greedy one
    assert not torch.equal(fits["a"].weights[0], other.weights[0])


def test_a_plan_for_a_layer_that_is_not_there():
    layer = layer_of(SPEC)
    with pytest.raises(PlanError, match=r"'cov' is no layer .* nearest is conv"):
        fit_plan([layer], Plan({"cov": Choice("svd", (2,))}))
    assert fit_plan([layer], Plan({"cov": None})) == {}


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
@pytest.mark.parametrize("diagonal", [False, True])
def test_a_fit_leaves_its_layer_as_it_was(kernel, diagonal):
    """Kernels are large: whitening and residuals are computed in place, but of copies."""
    spec = ConvSpec(4, 3, kernel)
    out, inp = moment(4, 1), moment(3, 2)
    metric = Metric.from_moments(out, inp.diagonal() if diagonal else inp, moment(kernel[0] ** 2, 3), kernel)
    layer = Layer("conv", spec, SIZES, noise(*spec.shape), (metric,))
    before = layer.weight.clone()
    fitted = fit_layer(layer, Choice("svd", (2,)))
    assert torch.equal(layer.weight, before)
    change = before - chain_kernel(fitted.stages, fitted.weights)
    assert fitted.rise == pytest.approx(metric.cost(change), rel=1e-12)
    assert fitted.rise > 0


def test_a_kernel_in_float32_is_fitted_in_float64():
    layer = layer_of(SPEC)
    rough = Layer(layer.name, layer.spec, SIZES, layer.weight.float(), layer.metrics)
    exact = Layer(layer.name, layer.spec, SIZES, layer.weight.float().double(), layer.metrics)
    one, other = (fit_layer(x, Choice("svd", (2,))) for x in (rough, exact))
    assert (one.error, one.rise) == (other.error, other.rise)
    assert all(torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
