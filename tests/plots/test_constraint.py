from __future__ import annotations

import math

from page_reading import words
from tenfold.plots.constraint import Course, Fit, Pulled, course_figure

STEPS = tuple(Pulled(n / 10, 2 / n, 0.01 * max(0, n - 10), 0.1 / (1 + n % 10)) for n in range(1, 41))
FITS = tuple(Fit(float(n), 0.8 / n, 0.3, 0.9 / n) for n in range(1, 5))
DOTTED = "stroke-dasharray: 1.6,2.4"  # (2, 3) times a width of 0.8: a C step


def test_losses_rates_feasibility_and_held_out_losses_have_a_panel_each() -> None:
    text = course_figure("c", Course(STEPS, FITS)).svg()
    assert {"learning rate", "||w - chain|| / ||w||", "held-out loss, nats", "epoch"} <= set(words(text))
    assert {"loss of the task, nats", "penalty", "network", "its chains"} <= set(words(text))
    assert text.count(DOTTED) == 4 * len(FITS)
    assert text.count("var(--series-5)") == 0


def test_rollbacks_are_marked_in_every_panel() -> None:
    assert course_figure("c", Course(STEPS, FITS, (2.5,))).svg().count("var(--series-5)") == 4


def test_what_was_not_measured_has_no_panel() -> None:
    bare = tuple(Fit(fit.epoch, fit.feasibility) for fit in FITS)
    text = course_figure("c", Course(STEPS, bare)).svg()
    assert "held-out loss, nats" not in words(text)
    direct = course_figure("c", Course((), bare[:1])).svg()
    assert "learning rate" not in words(direct)
    assert "||w - chain|| / ||w||" in words(direct)


def test_values_that_no_logarithm_has_break_nothing() -> None:
    odd = (Pulled(0.1, math.nan, 0.0, 0.1), Pulled(0.2, 1.0, math.inf, 0.1))
    assert "penalty" not in words(course_figure("c", Course(odd, (Fit(1.0, 0.0, math.nan, 1.0),))).svg())
