from __future__ import annotations

import math

import pytest

from tenfold.core.errors import UnknownNameError
from tenfold.train.schedules import SCHEDULES, cycle_ends, rates


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("cycles", [1, 3])
def test_as_many_rates_as_steps_and_none_above_the_peak(name, steps, cycles):
    found = rates(name, peak=0.5, steps=steps, cycles=cycles)
    assert len(found) == steps
    assert all(0 < rate <= 0.5 * (1 + 1e-12) for rate in found)


def test_cosine_cycles_follow_the_formula():
    found = rates("cosine-cyclic", peak=1.0, steps=20, cycles=2)
    expected = [0.01 + 0.99 * (1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)] * 2
    assert found == pytest.approx(expected, rel=1e-9)


def test_exponential_cycles_rise_to_a_height_that_decays():
    found = rates("exp-cyclic", peak=1.0, steps=100, cycles=5)
    tops = [max(found[start : start + 20]) for start in range(0, 100, 20)]
    # The top of cycle k is at step 10 + 20 k: 0.01 + 0.99 * 0.05^(step / 100).
    assert tops == pytest.approx([0.01 + 0.99 * 0.05 ** ((10 + 20 * k) / 100) for k in range(5)], rel=1e-9)
    assert [found[20 * k] for k in range(5)] == pytest.approx([0.01] * 5, rel=1e-9)


def test_other_schedules_end_where_they_should():
    assert rates("constant", peak=0.3, steps=5) == pytest.approx([0.3] * 5)
    assert rates("step", peak=1.0, steps=8) == pytest.approx([1] * 4 + [0.1] * 2 + [0.01] * 2)
    one = rates("one-cycle", peak=1.0, steps=100)
    assert max(one) == pytest.approx(1.0, rel=1e-6)
    assert one.index(max(one)) == 29
    assert one[-1] < 1e-4


@pytest.mark.parametrize(("steps", "cycles"), [(10, 3), (10, 1), (7, 7), (5, 9), (1, 1)])
def test_cycles_end_with_the_last_step(steps, cycles):
    ends = cycle_ends(steps, cycles)
    assert ends[-1] == steps
    assert list(ends) == sorted(set(ends))
    assert len(ends) <= cycles


def test_an_unknown_schedule_is_named():
    with pytest.raises(UnknownNameError, match="cosine"):
        rates("cosine", peak=1.0, steps=1)
