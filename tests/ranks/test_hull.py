from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenfold.ranks.hull import lower_hull

LAWS = settings(max_examples=200, deadline=None, derandomize=True, database=None)
# Few numbers, so that candidates cost or lose alike, and lie on one line; quarters, whose sums are exact.
POINTS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 8).map(lambda n: n / 4)), min_size=1, max_size=9
)
PRICES = st.integers(0, 16).map(lambda n: n / 4)


@LAWS
@given(points=POINTS, price=PRICES)
def test_what_a_price_picks_is_a_vertex_of_the_hull(points, price):
    cost, rise = map(list, zip(*points, strict=True))

    def paid(here):
        return rise[here] + price * cost[here]

    assert min(map(paid, lower_hull(cost, rise))) == min(map(paid, range(len(cost))))


@LAWS
@given(points=POINTS)
@example(points=[(1, 2.0), (2, 1.0), (3, 0.0)])
def test_each_vertex_costs_more_and_loses_less_and_ever_less_for_the_price(points):
    cost, rise = map(list, zip(*points, strict=True))
    steps = list(pairwise(lower_hull(cost, rise)))
    slopes = [(rise[end] - rise[start]) / (cost[end] - cost[start]) for start, end in steps]
    assert all(cost[end] > cost[start] for start, end in steps)
    assert all(slope < 0 for slope in slopes)
    # Two slopes that are equal are one step.
    assert all(one < other for one, other in pairwise(slopes))


@LAWS
@given(points=POINTS, data=st.data())
def test_a_hull_from_a_given_candidate_is_that_of_it_and_of_those_that_cost_more(points, data):
    first = data.draw(st.integers(0, len(points) - 1))
    kept = [first, *(k for k, point in enumerate(points) if point[0] > points[first][0])]
    cost, rise = map(list, zip(*points, strict=True))
    alone = lower_hull([cost[k] for k in kept], [rise[k] for k in kept])
    assert lower_hull(cost, rise, first=first) == [kept[k] for k in alone]
