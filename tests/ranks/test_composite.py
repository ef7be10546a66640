from __future__ import annotations

import pytest
import torch

from tenfold.algebra.metric import plain_metric
from tenfold.core.errors import BudgetError
from tenfold.core.shapes import ConvSpec
from tenfold.ranks.allocate import allocate
from tenfold.ranks.composite import composite, moved
from tenfold.ranks.evbmf import evbmf_of_kernel
from tenfold.ranks.table import Layer, build_table, priced
from tenfold.schemes.registry import get_scheme

SPEC = ConvSpec(16, 12, (3, 3), padding=(1, 1), bias=False)
POINT = ConvSpec(12, 16, bias=False)


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def low_rank(seed: int) -> torch.Tensor:
    """Tucker ranks (4, 3) and a little noise."""
    core = draw(4, 3, 3, 3, seed=seed)
    kernel = torch.einsum("pqhw,op,iq->oihw", core, draw(16, 4, seed=seed + 1), draw(12, 3, seed=seed + 2))
    return kernel + 0.05 * draw(16, 12, 3, 3, seed=seed + 3)


def layers() -> list[Layer]:
    kernels = {"a": low_rank(0), "b": low_rank(10), "c": draw(12, 16, 1, 1, seed=20)}
    return [
        Layer(name, spec, ((8, 8),), kernel, (plain_metric(spec.shape),))
        for (name, kernel), spec in zip(kernels.items(), (SPEC, SPEC, POINT), strict=True)
    ]


def dense() -> float:
    return 2 * 16 * 12 * 9 + 12 * 16


def chosen(share: float, scheme: str = "tt-tucker") -> tuple[dict[str, tuple[int, ...]], float]:
    table = build_table(layers(), scheme)
    limits, fixed = {"params": share * dense()}, {"params": 0.0}
    made = composite(scheme, table, limits, fixed, layers())
    plan = allocate(made.table, limits, fixed)
    return {name: choice.rank for name, choice in plan.factorised.items()}, made.weakening


def test_outer_ranks_are_those_of_evbmf_moved_by_one_weakening() -> None:
    for share in (0.08, 0.15, 0.5):
        ranks, weakening = chosen(share)
        for layer in layers()[:2]:
            p, q = (found.rank for found in evbmf_of_kernel(layer.weight))
            assert (p, q) == (4, 3)
            outer = (moved(q, 12, weakening), moved(p, 16, weakening))
            inp, middle, out = ranks[layer.name]
            assert get_scheme("tt-tucker").clip(SPEC, (outer[0], middle, outer[1])) == (inp, middle, out)


def test_where_the_kernels_have_low_rank_that_rank_is_found() -> None:
    ranks, weakening = chosen(0.15)
    assert weakening == 0.0
    assert (ranks["a"][0], ranks["a"][2]) == (3, 4)


@pytest.mark.parametrize("scheme", ["tt", "tt-tucker"])
def test_the_budget_is_met_and_a_larger_one_is_used(scheme: str) -> None:
    shipped = []
    for share in (0.05, 0.1, 0.3):
        table = build_table(layers(), scheme)
        limits = {"params": share * dense(), "macs": 2 * share * dense() * 64}
        fixed = {"params": 0.0, "macs": 0.0}
        plan = allocate(composite(scheme, table, limits, fixed, layers()).table, limits, fixed)
        ranks = {x.name: [plan[x.name].rank] if plan[x.name] else [] for x in layers()[:2]}
        rows = priced(layers()[:2], scheme, ranks)
        shipped.append(sum(row[-1].params for row in rows.values()))
        assert shipped[-1] <= share * dense()
    assert shipped == sorted(shipped)


def test_what_cannot_be_met_is_refused() -> None:
    table = build_table(layers(), "tt-tucker")
    with pytest.raises(BudgetError, match="the smallest possible"):
        composite("tt-tucker", table, {"params": 10.0}, {"params": 0.0}, layers())


def test_inner_ranks_are_left_to_choose_from_the_layer_as_it_is_to_the_full_one() -> None:
    table = build_table(layers(), "tt-tucker")
    made = composite("tt-tucker", table, {"params": 0.15 * dense()}, {"params": 0.0}, layers())
    kept, *rows = made.table["a"]
    assert kept.choice is None
    ranks = [row.choice.rank for row in rows if row.choice]
    assert {rank[0] for rank in ranks if rank[1] > 3} == {3}
    assert {rank[2] for rank in ranks if rank[1] > 3} == {4}
    assert {1, 9} <= {rank[1] for rank in ranks}  # 9 = 3 * kh: nothing of the core is lost
    assert made.table["c"] == table["c"]


def test_priced_rows_are_what_a_fit_says() -> None:
    one = layers()[0]
    kept, first, *rest = priced([one], "tucker", {"a": [(5, 5), (4, 3), (16, 12)]})["a"]
    assert kept.choice is None
    assert first.choice is not None
    assert first.choice.rank == (4, 3)  # in order; the full rank saves nothing
    assert len(rest) == 1
    error = get_scheme("tucker").fit(one.weight, (4, 3), sweeps=25).error
    energy = float(one.weight.square().sum())
    assert first.rise == pytest.approx(0.5 * energy * error**2, rel=1e-6)
