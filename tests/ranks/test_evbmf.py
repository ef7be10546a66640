from __future__ import annotations

import os
from math import inf, log, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from tenfold.core.errors import NonFiniteError, RankError, ShapeError
from tenfold.core.shapes import ConvSpec, params
from tenfold.ranks.evbmf import EvbmfOutcome, evbmf, evbmf_of, evbmf_of_kernel, singular_values, weakened
from tenfold.schemes.registry import get_scheme

LAWS = settings(max_examples=40, deadline=None, derandomize=True, database=None)
# The polish ends within 1e-10 of log sigma^2, at a minimum: the energy is then exact but for rounding.
ROUNDING = 1e-9
# A minimum is flat: it is located to the root of the rounding, some 1e-8, over its curvature.
LOCATED = 1e-6
# An eigenvalue of a Gram matrix carries eps times the largest one: its root at most sqrt(eps) of the largest.
GRAM = 3e-8


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planted(rows: int, columns: int, rank: int, *, seed: int, noise: float) -> Tensor:
    """A product of Gaussian factors, its entries of variance 1, plus noise."""
    signal = normal(rows, rank, seed=seed) @ normal(rank, columns, seed=seed + 1000) / rank**0.5
    return signal + noise * normal(rows, columns, seed=seed + 2000)


@st.composite
def spectra(draw) -> tuple[list[float], tuple[int, int]]:
    """Singular values of any sizes, some in steps of decades, some equal, some zero."""
    shorter, more = draw(st.integers(2, 12)), draw(st.integers(0, 60))
    value = st.one_of(st.floats(0.01, 100), st.sampled_from([0.0, 0.001, 1.0, 10.0]))
    values = draw(st.lists(value, min_size=shorter, max_size=shorter))
    return values, (shorter, shorter + more)


def one_component(gamma: float, rows: int, columns: int) -> tuple[float, float]:
    """Least 2 F of one component at sigma = 1, and its value, by search over the posterior's parameters."""

    def energy(x: np.ndarray) -> float:
        a, b, spread_a, spread_b = x[0], x[1], np.exp(x[2]), np.exp(x[3])
        # The priors' widths stand at their optimum, a^2 / M + spread_a and b^2 / L + spread_b.
        divergence = columns * np.log1p(a * a / columns / spread_a) + rows * np.log1p(b * b / rows / spread_b)
        return divergence - 2 * a * b * gamma + (a * a + columns * spread_a) * (b * b + rows * spread_b)

    starts = [[size, size, -4.0, -4.0] for size in (0.3, 1.0, gamma**0.5, 2 * gamma**0.5)]
    found = min(
        (minimize(energy, start, method="BFGS", options={"gtol": 1e-9}) for start in starts),
        key=lambda f: f.fun,
    )
    return float(found.fun), float(found.x[0] * found.x[1])


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 9), (2, 40)])
@pytest.mark.parametrize("strength", [0.9, 0.99, 1.005, 1.1, 2.0, 10.0])
def test_free_energy_and_shrinkage_equal_a_search_over_all_posteriors(shape, strength):
    # In units of the weakest component that is kept, found here by bisection of the public answer.
    rows, columns = shape

    def solve(gamma: float):
        return evbmf([gamma] + [0.0] * (rows - 1), shape, noise_variance=1.0)

    low, high = 1.0, 10.0 * columns
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if solve(middle).rank else (middle, high)
    gamma = strength * high
    least, value = one_component(gamma, rows, columns)
    found = solve(gamma)
    expected = (rows * columns * log(2 * pi) + gamma**2 + min(least, 0.0)) / 2
    assert found.rank == (strength > 1)
    assert (least < 0) == (strength > 1)
    # BFGS ends at gradients of about 1e-6 in a few flat directions.
    assert found.free_energy == pytest.approx(expected, rel=1e-6)
    if found.rank:
        assert found.values == pytest.approx([value], rel=1e-3)


@LAWS
@given(spectra())
def test_the_noise_variance_is_the_global_minimiser_over_all_of_them(spectrum):
    values, shape = spectrum
    found = evbmf(values, shape)
    if found.outcome in (EvbmfOutcome.ZERO, EvbmfOutcome.EXACT):
        return
    mean = sum(v * v for v in values) / (shape[0] * shape[1])
    grid = mean * np.logspace(-8, 1, 400)  # wider than the theory's interval, on both sides
    least = min(evbmf(values, shape, noise_variance=float(v)).free_energy for v in grid)
    # A free energy is a sum of shape[0] * shape[1] terms of about log(mean).
    assert found.free_energy <= least + ROUNDING * shape[0] * shape[1]
    again = evbmf(values, shape, noise_variance=found.noise_variance)
    assert again.free_energy == pytest.approx(found.free_energy, rel=ROUNDING)
    assert again.rank == found.rank
    assert again.noise_variance == found.noise_variance


@LAWS
@given(spectra(), st.floats(-40, 40).map(lambda n: 10.0**n))
def test_scaling_the_matrix_scales_the_answer(spectrum, scale):
    values, shape = spectrum
    one, other = evbmf(values, shape), evbmf([scale * v for v in values], shape)
    assert (other.rank, other.outcome) == (one.rank, one.outcome)
    assert other.noise_variance == pytest.approx(one.noise_variance * scale**2, rel=LOCATED)
    assert other.values == pytest.approx([scale * v for v in one.values], rel=LOCATED)


@LAWS
@given(spectra())
def test_values_are_shrunk_and_rank_is_below_the_bound_of_the_theory(spectrum):
    values, (rows, columns) = spectrum
    found = evbmf(values, (rows, columns))
    largest = sorted(values, reverse=True)[: found.rank]
    assert len(found.values) == found.rank
    assert sorted(found.values, reverse=True) == list(found.values)
    exact = found.outcome is EvbmfOutcome.EXACT
    if exact:
        assert found.values == pytest.approx(largest, rel=1e-15)
    else:
        assert all(0 < shrunk < value for shrunk, value in zip(found.values, largest, strict=True))
    assert found.rank < rows / (1 + rows / columns) or found.rank == 0
    assert evbmf(values[::-1], (columns, rows)) == found


@pytest.mark.parametrize("noise", [0.05, 0.3])
@pytest.mark.parametrize("shape", [(40, 120), (120, 40), (60, 60)])
def test_a_planted_rank_comes_back_with_its_noise(shape, noise):
    for seed in range(10):
        found = evbmf_of(planted(*shape, rank=5, seed=seed, noise=noise))
        assert (found.rank, found.outcome) == (5, EvbmfOutcome.SIGNAL)
        # The spread of a variance from n entries is sqrt(2 / n) of it; five standard deviations, and a
        # little more for the noise that goes with the signal's five components.
        tolerance = 5 * (2 / (shape[0] * shape[1])) ** 0.5 + 0.02
        assert found.noise_variance == pytest.approx(noise**2, rel=tolerance)


def test_pure_noise_has_rank_zero():
    for seed in range(20):
        found = evbmf_of(0.02 * normal(32, 288, seed=seed))
        assert (found.rank, found.values, found.outcome) == (0, (), EvbmfOutcome.NOISE)
        # Without components all of the matrix is noise.
        mean = float((0.02 * normal(32, 288, seed=seed)).square().mean())
        assert found.noise_variance == pytest.approx(mean, rel=1e-8)


def test_a_low_rank_without_noise_is_found_whole():
    matrix = planted(20, 50, rank=4, seed=1, noise=0.0)
    for dtype in (torch.float64, torch.float32):
        found = evbmf_of(matrix.to(dtype))
        assert (found.rank, found.outcome) == (4, EvbmfOutcome.EXACT)
        assert (found.noise_variance, found.free_energy) == (0.0, -inf)
        exact = torch.linalg.svdvals(matrix)[:4].tolist()
        assert found.values == pytest.approx(exact, rel=1e-6)


def test_dead_channels_do_not_make_the_others_look_free_of_noise():
    matrix = planted(20, 200, rank=3, seed=2, noise=0.1)
    larger = torch.zeros(30, 240, dtype=torch.float64)
    larger[:20, :200] = matrix
    larger[20:, 200:] = 1e-12  # decayed, not quite zero
    for dead in (larger, larger.T):
        found = evbmf_of(dead)
        assert (found.rank, found.outcome) == (3, EvbmfOutcome.SIGNAL)
        assert found.noise_variance == pytest.approx(evbmf_of(matrix).noise_variance, rel=LOCATED)
    # The singular values alone cannot tell: 20 of 30 without a rest are a matrix of rank 20.
    blind = evbmf([*singular_values(matrix), *[0.0] * 10], (30, 200))
    assert (blind.rank, blind.outcome) == (20, EvbmfOutcome.EXACT)


def test_a_rank_deficient_matrix_keeps_what_is_there():
    # Rank 9 of at most 10, more than the theory lets stand above a noise: the weak ones are the noise.
    values = [9.0, 8.0, *[1.0, 0.9, 0.9, 0.8, 0.8, 0.7, 0.7], 0.0]
    found = evbmf(values, (10, 12))
    assert (found.rank, found.outcome) == (2, EvbmfOutcome.SIGNAL)


def test_a_known_noise_variance_is_used_as_it_is():
    matrix = planted(30, 90, rank=3, seed=3, noise=0.1)
    assert evbmf_of(matrix, noise_variance=0.01).rank == 3
    deaf = evbmf_of(matrix, noise_variance=100.0)
    assert (deaf.rank, deaf.outcome, deaf.noise_variance) == (0, EvbmfOutcome.NOISE, 100.0)
    assert evbmf_of(matrix, noise_variance=1e-12).rank == 30


def test_what_has_no_answer_says_so():
    zero = evbmf_of(torch.zeros(3, 4))
    assert (zero.rank, zero.noise_variance, zero.outcome) == (0, 0.0, EvbmfOutcome.ZERO)
    row = evbmf_of(normal(1, 50, seed=0))
    assert (row.rank, row.outcome) == (0, EvbmfOutcome.VECTOR)
    assert evbmf_of(normal(1, 50, seed=0), noise_variance=1e-4).rank == 1


def plain_energy(noise: float, values: np.ndarray, rows: int, columns: int) -> float:
    """The free energy as in the papers' code, up to factors and constants, with its approximate threshold."""
    alpha = rows / columns
    tau = 2.5129 * alpha**0.5
    x = values**2 / (columns * noise)
    kept = x[x > (1 + tau) * (1 + alpha / tau)]
    t = (kept - 1 - alpha + np.sqrt((kept - 1 - alpha) ** 2 - 4 * alpha)) / 2
    gains = np.log1p(t) + alpha * np.log1p(t / alpha) - t
    return float(x.sum() + gains.sum() + rows * np.log(noise))


def test_a_search_from_one_start_ends_in_a_worse_minimum_and_this_one_does_not():
    # A decade between the signals, another one down to the noise: is the middle group signal or noise?
    rows, columns = 16, 144
    values = np.concatenate([np.linspace(12, 4, 14), [0.02, 0.01]])
    mean = float((values**2).sum()) / (rows * columns)
    args = (values, rows, columns)
    one = minimize_scalar(plain_energy, bounds=(1e-6 * mean, mean), args=args, method="bounded")
    found = evbmf(values.tolist(), (rows, columns))
    assert plain_energy(found.noise_variance, *args) < one.fun - 1
    assert found.rank == 14
    assert evbmf(values.tolist(), (rows, columns), noise_variance=float(one.x)).rank < 14


def test_a_minimum_between_the_points_of_a_plain_grid_is_found():
    # Fifteen decades of noise variance: 200 points in equal ratios see only the minimum of rank 5, and
    # between two of them there is a lower one, where the sixth component enters.
    values, shape = [0.3077, 0.02327, 0.01142, 5.828e-4, 1.25e-4, 1.918e-6, 1.608e-6], (10, 403)
    values += [1.522e-6, 1.45e-6, 1.319e-6]
    found = evbmf(values, shape)
    worse = evbmf(values, shape, noise_variance=6.322210376737639e-15)
    assert (found.rank, worse.rank) == (6, 5)
    assert found.free_energy < worse.free_energy - 0.09


def test_the_free_energy_has_its_digits_where_the_signal_is_a_million_times_the_noise():
    # x is 1e14 here, where numbers are 1/64 apart: a difference x - tau would lose the 1 + alpha that it is.
    found = evbmf([1e7, 0.0, 0.0], (3, 7), noise_variance=1 / 7)
    x, alpha = 1e14, 3 / 7
    tau = x - 1 - alpha  # to 1e-14 of it
    misfit = 1 + alpha + np.log1p(tau) + alpha * np.log1p(tau / alpha)
    assert 2 * found.free_energy == pytest.approx(21 * log(2 * pi / 7) + 7 * misfit, rel=1e-12)


def test_a_kernel_has_a_rank_for_its_output_and_one_for_its_input_channels():
    core, noise = normal(2, 5, 3, 3, seed=6), 0.05 * normal(20, 30, 3, 3, seed=7)
    kernel = torch.einsum("pqhw,op,iq->oihw", core, normal(20, 2, seed=8), normal(30, 5, seed=9)) + noise
    out, inp = evbmf_of_kernel(kernel)
    assert (out.rank, inp.rank) == (2, 5)
    assert out == evbmf_of(kernel.reshape(20, 270))
    with pytest.raises(ShapeError, match="give"):
        evbmf_of_kernel(kernel[0])


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (7, 7), (1, 9), (9, 1)])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_singular_values_are_those_of_the_svd(shape, scale):
    matrix = normal(*shape, seed=4)
    values = torch.tensor(singular_values(matrix * scale), dtype=torch.float64)
    exact = torch.linalg.svdvals(matrix)
    assert values.shape == exact.shape
    assert torch.allclose(values / scale, exact, rtol=0, atol=GRAM * float(exact[0]))


def test_values_beyond_the_smaller_side_are_refused():
    matrix = normal(30, 6, seed=5)
    longer = torch.linalg.eigvalsh(matrix @ matrix.T).clamp_min(0).sqrt().tolist()
    with pytest.raises(ShapeError, match="30 singular values for a matrix of 30 x 6"):
        evbmf(longer, (30, 6))
    with pytest.raises(ShapeError, match="5 singular values"):
        evbmf(longer[-5:], (30, 6))


def test_bad_input_is_named():
    with pytest.raises(ShapeError):
        evbmf([], (0, 3))
    with pytest.raises(ShapeError, match="give a matrix"):
        evbmf_of(torch.ones(2, 2, 2))
    with pytest.raises(ShapeError):
        evbmf_of(torch.ones(0, 2))
    with pytest.raises(NonFiniteError):
        evbmf_of(torch.tensor([[1.0, float("nan")]]))
    for value in (-1.0, float("nan"), inf):
        with pytest.raises(NonFiniteError):
            evbmf([value, 1.0], (2, 3))
    for noise in (0.0, -1.0, inf, float("nan")):
        with pytest.raises(NonFiniteError, match="noise variance"):
            evbmf([1.0, 2.0], (2, 3), noise_variance=noise)


@LAWS
@given(st.integers(1, 300), st.integers(0, 300), st.floats(0, 1), st.floats(0, 1))
def test_weakening_interpolates(full, rank, one, other):
    rank = min(rank, full)
    low, high = sorted((one, other))
    assert weakened(rank, full, 0) == max(1, rank)
    assert weakened(rank, full, 1) == full
    assert max(1, rank) <= weakened(rank, full, low) <= weakened(rank, full, high) <= full
    assert abs(weakened(rank, full, one) - (rank + one * (full - rank))) <= 0.5 or rank == 0


@pytest.mark.parametrize("arguments", [(5, 4, 0.5), (-1, 4, 0.5), (0, 0, 0.5), (2, 4, 1.1), (2, 4, -0.1)])
def test_weakening_outside_its_bounds(arguments):
    with pytest.raises(RankError):
        weakened(*arguments)


@pytest.fixture(scope="module")
def kernels() -> list[Tensor]:
    """The 19 kernels of a trained ResNet-20."""
    path = Path(os.environ.get("TENFOLD_DATA", "")) / "cifar10-resnet20.safetensors"
    if not path.is_file():
        pytest.skip("TENFOLD_DATA names no folder with cifar10-resnet20.safetensors")
    return [tensor.double() for tensor in load_file(path).values() if tensor.ndim == 4]


def unfoldings(kernel: Tensor) -> tuple[Tensor, Tensor]:
    return kernel.flatten(1), kernel.transpose(0, 1).flatten(1)


def test_trained_kernels_are_scale_invariant_and_transposed_equal(kernels):
    for matrix in (m for kernel in kernels for m in unfoldings(kernel)):
        found = evbmf_of(matrix)
        assert evbmf_of(0.03 * matrix).rank == found.rank
        assert evbmf_of(matrix.T) == found


def test_raw_evbmf_truncates_trained_kernels_hard(kernels):
    # A single bounded search with the shortcut's threshold gives 11.4x and 0.766 here; 4 of the 38
    # unfoldings have a better minimum at a higher rank.
    tucker, errors, numbers = get_scheme("tucker"), [], 0
    for kernel in kernels:
        n_out, n_in, kh, kw = kernel.shape
        p, q = (max(1, evbmf_of(matrix).rank) for matrix in unfoldings(kernel))
        spec = ConvSpec(n_out, n_in, (kh, kw))
        rank = tucker.clip(spec, (p, q))
        numbers += params(tucker.layout(spec, rank), bias=False)
        errors.append(tucker.fit(kernel, rank).error)
    assert sum(kernel.numel() for kernel in kernels) / numbers == pytest.approx(10.36, abs=0.01)
    assert sum(errors) / len(errors) == pytest.approx(0.726, abs=1e-3)


def test_a_kernel_before_training_is_noise(kernels):
    for kernel in kernels[1:]:
        fresh = torch.empty_like(kernel)
        torch.nn.init.kaiming_normal_(fresh, generator=torch.Generator().manual_seed(0))
        assert [evbmf_of(matrix).rank for matrix in unfoldings(fresh)] == [0, 0]
