from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
import torch
from torch import nn

from odd_layers import seeded
from tenfold.algebra.chain import chain_kernel
from tenfold.compression.fit import fit_layer
from tenfold.compression.prepare import prepare
from tenfold.core.errors import UnknownNameError
from tenfold.core.plan import Choice
from tenfold.core.shapes import repeat_groups
from tenfold.layers.census import census
from tenfold.layers.chain import build_chain
from tenfold.layers.statistics import moments
from tenfold.ranks.cache import DiskCache
from tenfold.ranks.table import Layer, build_table, refine_table
from tenfold.schemes.btd import Btd
from tenfold.schemes.registry import get_scheme
from tenfold.schemes.svd import Svd

# A root of a factor of the metric has a condition of at most (n / 1e-4)^1/2, some 300; three of them in a row
# multiply a rounding of 1e-16 by 3e7.
ROUNDING = 1e-7


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=(2, 1)),
        nn.ReLU(),
        nn.Conv2d(8, 12, (3, 1), groups=2, bias=False, padding_mode="reflect", padding=(2, 0)),
        nn.ReLU(),
        nn.Conv2d(12, 10, 1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(40, 6),
    )


IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def layers() -> list[Layer]:
    """All layers of a small network, in the metric of its logits."""
    net = seeded(network)
    counted = census(net, IMAGES)
    found = moments(net, [IMAGES], [info.name for info in counted.factorisable])
    return prepare(net, counted, found)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by the rank of every fit that is made."""
    made: list[object] = []
    for scheme in (Svd, Btd):

        def counting(self, weight, ranks, *, _errors=scheme.errors, **options):
            made.extend(ranks)
            return _errors(self, weight, ranks, **options)

        monkeypatch.setattr(scheme, "errors", counting)
    return made


def hooked_macs(module: nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds of every layer of a real forward pass, per image."""
    total = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda m, _a, y: total.append(y[0].numel() * m.weight[0].numel()))
    module(x)
    return sum(total)


@pytest.mark.parametrize("scheme", ["btd", "tucker", "cp", "tt", "tt-tucker", "svd", "auto"])
def test_costs_are_those_of_what_ships(layers, scheme):
    few = [layers[1], layers[3]] if scheme == "auto" else layers[:3]
    for layer, row in zip(few, build_table(few, scheme).values(), strict=True):
        assert len(row) > 1
        assert len({c.choice for c in row}) == len(row)
        bias = torch.zeros(layer.spec.out) if layer.spec.bias else None
        for candidate in row[1:]:
            assert (candidate.params < row[0].params) or (candidate.macs < row[0].macs)
            one = get_scheme(candidate.choice.scheme).layout(layer.spec.group, candidate.choice.rank)
            stages = repeat_groups(one, layer.spec.groups)
            made = build_chain(layer.spec, stages, tuple(torch.zeros(s.shape) for s in stages), bias)
            shape = (layer.spec.inp,) if layer.spec.linear else (layer.spec.inp, *layer.sizes[0])
            assert candidate.params == sum(p.numel() for p in made.parameters())
            assert candidate.macs == hooked_macs(made, torch.zeros(1, *shape))
            assert candidate.size_bytes == 4 * candidate.params
            assert candidate.rise >= 0


def test_the_first_candidate_keeps_the_layer(layers):
    net = seeded(network)
    counted = census(net, IMAGES)
    table = build_table(layers, "svd")
    assert list(table) == ["0", "2", "4", "7"]
    for name, row in table.items():
        assert row[0].choice is None
        assert row[0].rise == 0
        assert (row[0].params, row[0].macs) == (counted.layer(name).params, counted.layer(name).macs)
        assert all(c.choice is not None for c in row[1:])


def test_a_pointwise_layer_is_offered_the_svd_alone(layers):
    table = build_table(layers, "btd")
    assert {c.choice.scheme for name in ("4", "7") for c in table[name][1:]} == {"svd"}
    assert {c.choice.scheme for name in ("0", "2") for c in table[name][1:]} == {"btd"}


def test_a_rise_is_what_the_fit_of_that_rank_costs(layers):
    for layer, row in zip(layers, build_table(layers, "svd").values(), strict=True):
        for candidate in row[1:]:
            fitted = fit_layer(layer, candidate.choice)
            energy = sum(m.cost(k) for m, k in zip(layer.metrics, layer.kernels(), strict=True))
            assert candidate.rise == pytest.approx(fitted.rise, rel=ROUNDING, abs=ROUNDING * energy)


def test_a_layer_called_twice_costs_the_multiply_adds_of_both_calls(layers):
    twice = Layer(**{**vars(layers[0]), "sizes": ((8, 8), (5, 4))})
    one, other = (build_table([Layer(**{**vars(layers[0]), "sizes": (s,)})], "svd") for s in twice.sizes)
    for both, a, b in zip(build_table([twice], "svd")["0"], one["0"], other["0"], strict=True):
        assert (both.macs, both.params) == (a.macs + b.macs, a.params)


def test_the_cache_spares_all_fits_and_changes_no_rise(layers, fits, tmp_path: Path):
    plain = build_table(layers, "btd")
    first = len(fits)
    assert (
        first > sum(len(row) - 1 for row in plain.values()) > 0
    )  # the grouped layer is fitted group by group
    assert build_table(layers, "btd", cache=DiskCache(tmp_path)) == plain
    assert len(fits) == 2 * first
    assert build_table(layers, "btd", cache=DiskCache(tmp_path)) == plain
    assert len(fits) == 2 * first
    for path in list(tmp_path.iterdir())[:1]:
        path.write_text(path.read_text()[:-9])
    assert build_table(layers, "btd", cache=DiskCache(tmp_path)) == plain
    assert 2 * first < len(fits) < 3 * first


def test_an_unwritable_cache_is_no_error(layers, tmp_path: Path):
    (tmp_path / "file").write_text("")
    few = layers[2:]
    assert build_table(few, "svd", cache=DiskCache(tmp_path / "file")) == build_table(few, "svd")


def test_parallel_equals_serial(layers):
    few = layers[1:3]
    assert build_table(few, "btd", workers=2) == build_table(few, "btd", workers=1)


def test_progress_ends_at_all(layers):
    told = []
    build_table(layers, "svd", progress=lambda *now: told.append(now))
    assert told[-1][0] == told[-1][1] == len(told)


def test_an_unknown_scheme_is_refused(layers):
    with pytest.raises(UnknownNameError, match="tucker"):
        build_table(layers, "tuker")


def cost_of(layer: Layer, choice: Choice) -> float:
    """Cost of the table's own fit of a rank, in the metric that its scheme can undo."""
    separable = get_scheme(choice.scheme).separable
    fitted = fit_layer(layer, choice, sweeps=25)
    change = layer.weight - chain_kernel(fitted.stages, fitted.weights)
    parts = zip(layer.metrics, change.chunk(layer.spec.groups), strict=True)
    return 0.5 * sum(float(m.whiten(part, separable=separable).square().sum()) for m, part in parts)


@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("scheme", ["btd", "svd", "tt", "auto"])
def test_refining_adds_only_new_feasible_ranks(layers, scheme, place):
    few = layers[:2]
    table = {name: (row[0], *row[1::3]) for name, row in build_table(few, scheme).items()}
    chosen = {name: row[1 + round(place * (len(row) - 2))].choice for name, row in table.items()}
    finer = refine_table(table, few, chosen)
    for layer in few:
        row, more = table[layer.name], finer[layer.name]
        assert more[: len(row)] == row
        assert len({c.choice for c in more}) == len(more)
        assert len(more) <= len(row) + 2
        for candidate in more[len(row) :]:
            method = get_scheme(candidate.choice.scheme)
            assert candidate.choice.scheme == chosen[layer.name].scheme
            assert method.clip(layer.spec.group, candidate.choice.rank) == candidate.choice.rank
            assert candidate.rise == pytest.approx(cost_of(layer, candidate.choice), rel=ROUNDING, abs=1e-12)


def test_refining_looks_half_way_to_both_neighbours(layers):
    layer = layers[3]
    table = build_table([layer], "svd")
    thinned = {"7": tuple(c for c in table["7"] if c.choice is None or c.choice.rank in ((1,), (3,), (5,)))}
    finer = refine_table(thinned, [layer], {"7": Choice("svd", (3,))})
    assert [c.choice.rank for c in finer["7"][len(thinned["7"]) :]] == [(2,), (4,)]
    by_rank = {c.choice: c for c in table["7"]}
    for candidate in finer["7"]:
        assert candidate == by_rank[candidate.choice]


def test_refining_leaves_kept_layers_alone(layers, fits):
    table = {name: (row[0], *row[1::3]) for name, row in build_table(layers, "svd").items()}
    made = len(fits)
    assert refine_table(table, layers, dict.fromkeys(table)) == table
    assert len(fits) == made


def test_the_kernels_of_a_layer_are_its_groups(layers):
    one, two = layers[1].kernels()
    assert torch.equal(torch.cat([one, two]), layers[1].weight)
    assert prod(one.shape) * 2 == layers[1].weight.numel()
