from __future__ import annotations

import pytest
import torch
from torch import Tensor

from conformance import noise
from tenfold.algebra.metric import Metric, plain_metric

CHANGE = noise(4, 3, 2, 3)
KERNEL = (2, 3)
# What the metric adds to each factor's eigenvalues, in units of their mean.
RIDGE = 1e-4


def moment(n: int, seed: int) -> Tensor:
    """A covariance far from the identity."""
    draw = noise(n, 2 * n, seed=seed)
    return draw @ draw.T


def raised(matrix: Tensor) -> Tensor:
    """A moment with the metric's ridge."""
    return matrix + RIDGE * matrix.trace() / len(matrix) * torch.eye(len(matrix), dtype=matrix.dtype)


def sample() -> Metric:
    """A full metric for `CHANGE`."""
    return Metric.from_moments(moment(4, 1), moment(3, 2), moment(6, 3), KERNEL)


def test_cost_is_the_quadratic_form():
    out, inp, offsets = (raised(moment(n, seed)) for n, seed in ((4, 1), (3, 2), (6, 3)))
    flat = CHANGE.flatten(2)
    form = torch.einsum("oik,ob,ic,kl,bcl->", flat, out, inp, offsets, flat)
    assert sample().cost(CHANGE) == pytest.approx(0.5 * float(form), rel=1e-12)
    assert sample().cost(-3 * CHANGE) == pytest.approx(4.5 * float(form), rel=1e-12)
    assert sample().cost(torch.zeros_like(CHANGE)) == 0


def test_roots_are_inverse_to_each_other():
    metric = sample()
    for root, inverse in (metric.out, metric.inp, metric.offsets, metric.rows, metric.columns):
        assert torch.allclose(root @ inverse, torch.eye(len(root), dtype=torch.float64), atol=1e-11)
    assert [len(f[0]) for f in (metric.out, metric.inp, metric.offsets, metric.rows, metric.columns)] == [
        4,
        3,
        6,
        2,
        3,
    ]


@pytest.mark.parametrize("diagonal", [{"out"}, {"inp"}, {"out", "inp"}])
def test_a_diagonal_stands_for_a_diagonal_matrix(diagonal):
    powers = {"out": moment(4, 1).diagonal(), "inp": moment(3, 2).diagonal()}
    full = Metric.from_moments(*map(torch.diag, powers.values()), moment(6, 3), KERNEL)
    given = [power if name in diagonal else torch.diag(power) for name, power in powers.items()]
    metric = Metric.from_moments(*given, moment(6, 3), KERNEL)
    assert metric.out[0].dim() == (1 if "out" in diagonal else 2)
    assert metric.cost(CHANGE) == pytest.approx(full.cost(CHANGE), rel=1e-12)
    back = metric.unwhiten_stage(metric.whiten(CHANGE), first=True, last=True, separable=False)
    assert torch.allclose(back, CHANGE, atol=1e-12)


@pytest.mark.parametrize("separable", [False, True])
def test_a_single_stage_is_brought_back(separable):
    white = sample().whiten(CHANGE, separable=separable)
    back = sample().unwhiten_stage(white, first=True, last=True, separable=separable)
    assert torch.allclose(back, CHANGE, atol=1e-12)


def test_inner_stages_of_a_chain_take_only_their_part():
    metric, pointwise = sample(), noise(5, 5, 1, 1)
    same = metric.unwhiten_stage(pointwise, first=False, last=False, separable=False)
    assert torch.equal(same, pointwise)
    rows = noise(5, 5, 2, 1)
    expected = torch.einsum("oihw,hb->oibw", rows, metric.rows[1])
    assert torch.allclose(metric.unwhiten_stage(rows, first=False, last=False, separable=True), expected)
    columns = noise(5, 5, 1, 3)
    expected = torch.einsum("oihw,wb->oihb", columns, metric.columns[1])
    assert torch.allclose(metric.unwhiten_stage(columns, first=False, last=False, separable=True), expected)


def test_separable_offsets_are_split_exactly():
    rows, columns = moment(2, 5), moment(3, 6)
    metric = Metric.from_moments(moment(4, 1), moment(3, 2), torch.kron(rows, columns), KERNEL)
    roots = torch.kron(metric.rows[0], metric.columns[0])
    # The ridge is added to each part, not to the product; it is all that separates the two.
    expected = torch.kron(raised(rows), raised(columns))
    assert torch.allclose(roots @ roots, expected, rtol=1e-10)
    separable = 0.5 * float(metric.whiten(CHANGE, separable=True).square().sum())
    assert metric.cost(CHANGE) == pytest.approx(separable, rel=20 * RIDGE)


def test_the_horizontal_part_has_trace_kw():
    for seed in range(5):
        factor = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        eye = torch.eye(2, dtype=torch.float64)
        metric = Metric.from_moments(eye, eye, factor @ factor.T, (2, 3))
        root, _ = metric.columns
        # the ridge of 1e-4 on each eigenvalue, relative to their mean, raises the trace by as much
        assert float((root @ root).trace()) == pytest.approx(3 * (1 + 1e-4), rel=1e-10)


def test_nearest_split_beats_every_neighbour():
    offsets = moment(6, 3)
    metric = Metric.from_moments(moment(4, 1), moment(3, 2), offsets, KERNEL)
    rows, columns = (root[0] @ root[0] for root in (metric.rows, metric.columns))
    distance = float((offsets - torch.kron(rows, columns)).norm())
    for seed in range(5):
        nudge = 0.05 * moment(2, seed)
        assert distance < float((offsets - torch.kron(rows + nudge, columns)).norm()) + 1e-3
        assert distance < float((offsets - torch.kron(rows, columns + 0.05 * moment(3, seed))).norm()) + 1e-3
    assert (torch.linalg.eigvalsh(rows) > 0).all()
    assert (torch.linalg.eigvalsh(columns) > 0).all()


def test_no_evidence_is_the_plain_metric():
    zeros = [torch.zeros(n, n, dtype=torch.float64) for n in (4, 3, 6)]
    metric = Metric.from_moments(*zeros, KERNEL)
    assert torch.equal(metric.whiten(CHANGE), CHANGE)
    assert torch.equal(metric.whiten(CHANGE, separable=True), CHANGE)


def test_a_diagonal_of_zeros_is_no_evidence():
    metric = Metric.from_moments(torch.zeros(4).double(), torch.zeros(3).double(), moment(6, 3), KERNEL)
    assert metric.out[0].tolist() == metric.out[1].tolist() == [1.0] * 4
    assert metric.inp[0].tolist() == [1.0] * 3


def test_the_plain_metric_of_a_vast_layer_is_small():
    metric = plain_metric((2, 25_088, 1, 1))
    assert sum(root.numel() for root in (*metric.out, *metric.inp)) < 60_000
    assert metric.cost(torch.ones(2, 25_088, 1, 1, dtype=torch.float64)) == 25_088


def test_plain_metric_counts_every_error_alike():
    plain = plain_metric((4, 3, 2, 3))
    assert plain.cost(CHANGE) == pytest.approx(0.5 * float(CHANGE.square().sum()), rel=1e-14)
    assert torch.equal(plain.whiten(CHANGE, separable=True), CHANGE)
    assert torch.equal(plain.unwhiten_stage(CHANGE, first=True, last=True, separable=False), CHANGE)
