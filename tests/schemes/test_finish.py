from __future__ import annotations

import pytest
import torch

from conformance import noise
from tenfold.core.outcome import Outcome
from tenfold.core.shapes import Stage
from tenfold.schemes.finish import finish, relative_error

STAGES = (Stage(2, 3), Stage(4, 2, (1, 2)))


def test_relative_error():
    weight = noise(3, 4)
    assert relative_error(weight, 0.75 * weight) == pytest.approx(0.25, rel=1e-14)
    assert relative_error(weight, torch.zeros_like(weight)) == 1
    zero = torch.zeros_like(weight)
    assert relative_error(zero, zero) == 0
    assert relative_error(zero, weight) == pytest.approx(float(weight.norm()))


def test_finish_measures_before_it_casts():
    weights = tuple(noise(*stage.shape, seed=n) for n, stage in enumerate(STAGES))
    kernel = torch.einsum("rihv,orhw->oihw", weights[0], weights[1])
    fit = finish(kernel.float().double(), STAGES, weights, sweeps=3, outcome=Outcome.CONVERGED)
    assert 1e-9 < fit.error < 1e-7
    assert (fit.sweeps, fit.outcome) == (3, Outcome.CONVERGED)
    exact = finish(kernel, STAGES, weights, outcome=Outcome.CONVERGED)
    assert exact.outcome is Outcome.EXACT
    half = finish(kernel.half(), STAGES, weights)
    assert half.outcome is Outcome.DIRECT
    assert {w.dtype for w in half.weights} == {torch.float16}


def test_error_by_parts_is_that_of_the_whole(monkeypatch):
    weights = tuple(noise(*stage.shape, seed=n) for n, stage in enumerate(STAGES))
    weight = noise(4, 3, 1, 2)
    whole = finish(weight, STAGES, weights).error
    monkeypatch.setattr("tenfold.schemes.finish._PART", 18)  # three outputs of six numbers
    assert finish(weight, STAGES, weights).error == pytest.approx(whole, rel=1e-14)
    assert finish(torch.zeros_like(weight), STAGES, weights).error > 1


def test_finish_makes_weights_contiguous():
    weights = (noise(3, 2, 1, 1).transpose(0, 1), noise(2, 4, 1, 2).transpose(0, 1))
    assert all(w.is_contiguous() for w in finish(noise(4, 3, 1, 2), STAGES, weights).weights)
