from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tenfold.algebra.metric import plain_metric
from tenfold.core.errors import BudgetError
from tenfold.core.plan import Choice
from tenfold.core.shapes import ConvSpec, Pair, Stage
from tenfold.ranks.allocate import allocate, totals
from tenfold.ranks.table import Candidate, Layer, build_table, outline, refine_table
from tenfold.ranks.timed import timed

SPEC = ConvSpec(16, 16, (3, 3), padding=(1, 1))


def layer(name: str, sizes: tuple[Pair, ...] = ((8, 8),), spec: ConvSpec = SPEC) -> Layer:
    weight = torch.randn(spec.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Layer(name, spec, sizes, weight, (plain_metric(spec.group.shape),) * spec.groups)


class Counting:
    """A layer takes its height for each of its stages, and a millisecond more if it is grouped."""

    def __init__(self) -> None:
        self.asked: list[tuple[ConvSpec, Pair, int]] = []

    def __call__(self, spec: ConvSpec, size: Pair, chains: Sequence[tuple[Stage, ...]]) -> list[float]:
        assert len(set(chains)) == len(chains)
        self.asked.append((spec, size, len(chains)))
        return [size[0] * len(chain) + (max(s.groups for s in chain) > 1) for chain in chains]


def row(*choices: Choice | None) -> tuple[Candidate, ...]:
    return tuple(Candidate(choice, float(n), 10, 10, 40) for n, choice in enumerate(choices))


def test_layers_of_one_shape_are_timed_once_and_calls_add_up() -> None:
    clock, told = Counting(), list[tuple[int, int]]()
    layers = [layer("a"), layer("b"), layer("c", ((8, 8), (4, 4)))]
    full = row(None, Choice("tucker", (4, 4)), Choice("btd", (2, 4, 4)), Choice("svd", (4,)))
    table = {"a": full[:2], "b": full, "c": full[:1]}
    found = timed(table, layers, clock, lambda *what: told.append(what))
    assert clock.asked == [(SPEC, (8, 8), 4), (SPEC, (4, 4), 1)]
    assert [c.latency_ms for c in found["a"]] == [8, 24]
    assert [c.latency_ms for c in found["b"]] == [8, 24, 25, 16]
    assert [c.latency_ms for c in found["c"]] == [12]
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert [replace(c, latency_ms=0.0) for c in found["b"]] == list(full)


def test_groups_are_repeated() -> None:
    grouped = replace(SPEC, groups=2)
    clock = Counting()
    found = timed({"a": row(None, Choice("svd", (4,)))}, [layer("a", spec=grouped)], clock)
    assert [c.latency_ms for c in found["a"]] == [9, 17]  # both grouped


def test_a_layer_that_a_chain_would_slow_stays_dense() -> None:
    def candidate(choice: Choice | None, rise: float, time: float) -> Candidate:
        return Candidate(choice, rise, 100 if choice is None else 10, 100, 400, time)

    slow, fast = Choice("cp", (4,)), Choice("tucker", (8, 8))
    table = {
        "a": (candidate(None, 0.0, 0.2), candidate(slow, 0.1, 0.3)),
        "b": (candidate(None, 0.0, 0.2), candidate(fast, 5.0, 0.1)),
    }
    plan = allocate(table, {"latency_ms": 0.36}, {"latency_ms": 0.05})
    assert dict(plan) == {"a": None, "b": fast}
    assert totals(table, plan, {"latency_ms": 0.05})["latency_ms"] == pytest.approx(0.35)
    both = {"latency_ms": 0.45, "params": 25.0}, {"latency_ms": 0.05, "params": 0.0}
    assert dict(allocate(table, *both)) == {"a": slow, "b": fast}
    with pytest.raises(BudgetError, match=r"latency_ms <= 0.310, params <= 25 together"):
        allocate(table, {"latency_ms": 0.36, "params": 25.0}, both[1])
    with pytest.raises(
        BudgetError, match=r"latency_ms <= 0.300: the smallest possible is 0.350, .* 0.050 lie"
    ):
        allocate(table, {"latency_ms": 0.3}, {"latency_ms": 0.05})


def test_small_limits_are_kept_exactly_by_the_program() -> None:
    """Times below a tenth of a millisecond are far above the solver's tolerance only once they are scaled."""
    rows = tuple(
        Candidate(None if n == 0 else Choice("svd", (n,)), float(n), 100 - n, 100, 400, 1e-6 * (10 - n))
        for n in range(10)
    )
    plan = allocate({"a": rows}, {"latency_ms": 4.5e-6, "params": 1000.0}, {"latency_ms": 0.0, "params": 0.0})
    assert plan["a"] == Choice("svd", (6,))


def test_aligned_tables_hold_aligned_ranks_only() -> None:
    wide = layer("a", spec=ConvSpec(24, 24, (3, 3), padding=(1, 1)))
    rows = outline([wide], "tucker", aligned=True)
    assert [c.choice for c in rows["a"]] == [
        c.choice for c in build_table([wide], "tucker", aligned=True)["a"]
    ]
    ranks = [c.choice.rank for c in rows["a"] if c.choice]
    assert ranks
    assert all(width in (4, 8, 16, 24) for rank in ranks for width in rank)
    finer = refine_table(rows, [wide], {"a": Choice("tucker", ranks[1])}, aligned=True)
    found = [c.choice for c in finer["a"]]
    assert len(set(found)) == len(found)
    assert all(width in (4, 8, 16, 24) for choice in found if choice for width in choice.rank)
