"""Curves of a job that runs, from its events."""

from __future__ import annotations

import math

import pytest

from tenfold.studio.curves import curves_of, thinned
from tenfold.studio.formulas import plain
from tenfold.studio.wording import clock_time, duration, file_size


def step(phase, number, loss=1.0, rate=0.1):
    return {"time": 1.0, "phase": phase, "step": number, "loss": loss, "rate": rate}


def test_phases_are_curves_in_the_order_in_which_they_began():
    events = [
        {"phase": "load", "done": 1, "total": 1},
        step("recovery", 1, 5.0),
        step("recovery", 9, 3.0),
        {"phase": "recovered", "held_out_accuracy": 50.0, "held_out_loss": 1.0},
        step("training", 1, 2.0, 0.02),
        {"phase": "snapshot", "cycle": 1, "step": 7, "held_out_accuracy": 88.0, "held_out_loss": 1.0},
        step("training", 8, 1.0, 0.01),
    ]
    recovery, training = curves_of(events)
    assert (recovery.phase, recovery.steps, recovery.losses) == ("recovery", (1, 9), (5.0, 3.0))
    assert (training.rates, training.judged) == ((0.02, 0.01), ((7, 88.0),))


def test_a_step_that_is_made_again_stands_for_both():
    (curve,) = curves_of([step("training", 1, 9.0), step("training", 2, 8.0), step("training", 1, 7.0)])
    assert (curve.steps, curve.losses) == ((1, 2), (7.0, 8.0))


def test_a_loss_that_is_no_number_is_left_out():
    (curve,) = curves_of(
        [step("training", 1, math.nan), step("training", 2, 8.0), step("training", 3, math.inf)]
    )
    assert curve.steps == (2,)


def test_a_c_step_is_judged_where_its_l_step_ended():
    events = [
        step("l step", 10),
        step("l step", 20),
        {"phase": "c step", "number": 1, "compressed_accuracy": 70.0},
    ]
    (curve,) = curves_of(events)
    assert curve.judged == ((20, 70.0),)


@pytest.mark.parametrize("most", [1, 2, 7, 99, 100, 1000])
def test_thinned_curves_keep_the_last_step(most):
    (curve,) = curves_of([step("training", number, float(number)) for number in range(1, 101)])
    found = thinned(curve, most)
    assert len(found.steps) <= most or most == 1
    assert len(found.steps) >= min(100, most) / 2
    assert found.steps[-1] == 100
    assert found.losses == tuple(float(number) for number in found.steps)


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"R (I q + p q k)", "R (I q + p q k)"),
        (r"\min_{x} \lVert x \rVert^2", "min_x ‖ x ‖²"),
        (r"\text{rank} \le 3", "rank ≤ 3"),
        (r"\frac{1}{\sqrt{2}}", "(1) / (√(2))"),
        (r"A^{\top} B^{-1}", "Aᵀ B⁻¹"),
        (r"\bar{x} \to \hat y", "x̄ → ŷ"),
        (r"\unknown{a}", "unknowna"),
    ],
)
def test_formulas_in_plain_signs(latex, text):
    assert plain(latex) == text


def test_figures_for_people():
    assert [duration(x) for x in (0, 59.6, 3600)] == ["0 s", "1 min 0 s", "1 h 0 min"]
    assert [file_size(x) for x in (0, 999_999, 2.5e9)] == ["0 B", "1 MB", "2.5 GB"]
    assert clock_time(None) == ""
    assert len(clock_time(0.0)) == 16
