from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import noise
from tenfold.algebra.linalg import check_finite, fix_signs, leading, leading_with_energy, solve_spd, spd_roots
from tenfold.core.errors import NonFiniteError

FIXED = settings(max_examples=30, deadline=None, derandomize=True, database=None)
EYE = torch.eye(5, dtype=torch.float64)


def test_check_finite_counts_and_names():
    check_finite(torch.zeros(0))
    check_finite(torch.tensor([torch.finfo(torch.float32).max]))
    bad = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    with pytest.raises(NonFiniteError, match="conv1: 3 of 4 numbers"):
        check_finite(bad, "conv1")


def test_fix_signs_chooses_one_of_the_two_bases():
    columns = noise(6, 4)
    fixed = fix_signs(columns)
    assert torch.equal(fix_signs(-columns), fixed)
    assert torch.equal(fixed.abs(), columns.abs())
    assert (fixed.gather(0, fixed.abs().argmax(0, keepdim=True)) > 0).all()


@FIXED
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_leading_captures_what_the_svd_does(rows, columns, wanted, seed):
    matrix, rank = noise(rows, columns, seed=seed), min(wanted, rows)
    basis = leading(matrix, rank)
    assert basis.shape == (rows, rank)
    assert torch.allclose(basis.T @ basis, torch.eye(rank, dtype=torch.float64), atol=1e-13)
    values = torch.linalg.svdvals(matrix)[:rank]
    seen = (basis.T @ matrix).norm(dim=1)
    # Strongest first, each direction with its own singular value; the rest of the basis sees nothing.
    assert torch.allclose(seen[: len(values)], values, atol=1e-7)
    assert float(seen[: len(values)].square().sum()) == pytest.approx(float(values.square().sum()), rel=1e-12)
    assert torch.allclose(seen[len(values) :], seen.new_zeros(()), atol=1e-7)
    assert torch.equal(leading(-matrix, rank), basis)


@pytest.mark.parametrize("shape", [(301, 330), (330, 301)])
def test_leading_captures_what_the_svd_does_of_many_rows(shape):
    matrix = noise(*shape)
    basis, energy = leading_with_energy(matrix, 40)
    assert torch.equal(leading(matrix, 40), basis)
    captured = float(torch.linalg.svdvals(matrix)[:40].square().sum())
    assert float((basis.T @ matrix).square().sum()) == pytest.approx(captured, rel=1e-12)
    assert energy == pytest.approx(captured, rel=1e-12)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (9, 2)])
def test_leading_of_zero_is_still_a_basis(shape):
    basis = leading(torch.zeros(shape, dtype=torch.float64), 3)
    assert torch.allclose(basis.T @ basis, EYE[:3, :3], atol=1e-14)


def test_spd_roots():
    draw = noise(5, 9)
    moment = draw @ draw.T
    root, inverse = spd_roots(moment, ridge=0.1)
    raised = moment + 0.1 * moment.trace() / 5 * EYE
    assert torch.allclose(root @ root, raised, rtol=1e-12)
    assert torch.allclose(root @ inverse, EYE, atol=1e-13)
    assert torch.allclose(root, root.T, atol=1e-13)
    assert (torch.linalg.eigvalsh(root) > 0).all()
    bigger, _ = spd_roots(1e8 * moment, ridge=0.1)
    assert torch.allclose(bigger, 1e4 * root, rtol=1e-10)


def test_spd_roots_without_evidence_are_the_identity():
    for root in spd_roots(torch.zeros(5, 5, dtype=torch.float64), ridge=1e-4):
        assert torch.equal(root, EYE)


def test_spd_roots_of_a_singular_moment_are_finite():
    ones = torch.ones(5, 5, dtype=torch.float64)
    root, inverse = spd_roots(ones, ridge=1e-4)
    assert torch.allclose(root @ inverse, EYE, atol=1e-12)
    # Four of five directions carry nothing but the ridge, 1e-4 of the mean eigenvalue 1.
    assert float(torch.linalg.eigvalsh(inverse)[-1]) == pytest.approx(1e2, rel=1e-6)


def test_solve_spd_adds_the_ridge_in_units_of_the_mean_diagonal():
    draw, rhs = noise(5, 8), noise(5, 3, seed=1)
    gram = draw @ draw.T
    expected = torch.linalg.solve(gram + 0.3 * gram.trace() / 5 * EYE, rhs)
    assert torch.allclose(solve_spd(gram, rhs, ridge=0.3), expected, rtol=1e-11)
    assert torch.allclose(solve_spd(1e9 * gram, rhs, ridge=0.3), expected / 1e9, rtol=1e-11)


def test_solve_spd_raises_a_ridge_that_is_too_small():
    ones, rhs = torch.ones(5, 5, dtype=torch.float64) - 1e-9 * EYE, torch.ones(5, 1, dtype=torch.float64)
    solution = solve_spd(ones, rhs, ridge=1e-18)
    assert torch.allclose(ones @ solution, rhs, atol=1e-5)


def test_solve_spd_of_zero_is_zero():
    assert not solve_spd(torch.zeros(3, 3), torch.ones(3, 2), ridge=1e-4).any()
