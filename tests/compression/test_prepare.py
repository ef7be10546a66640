from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from odd_layers import Around, around, seeded
from tenfold.algebra.metric import Metric
from tenfold.compression.prepare import prepare
from tenfold.layers.census import census
from tenfold.layers.statistics import Moments, moments
from tenfold.ranks.table import Layer

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def layers_of(net: nn.Module, metric: str, found: dict[str, Moments] | None = None) -> dict[str, Layer]:
    return {layer.name: layer for layer in prepare(net, census(net, IMAGES), found or {}, metric=metric)}


def same(one: Metric, other: Metric) -> bool:
    return all(
        torch.equal(a, b)
        for name in ("out", "inp", "offsets", "rows", "columns")
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True)
    )


def test_kernels_are_copies_of_the_weights_with_four_modes():
    net = around("grouped")
    layers = layers_of(net, "plain")
    assert list(layers) == ["stem", "layer", "head"]
    assert layers["layer"].weight.shape == (16, 4, 3, 3)
    assert layers["head"].weight.shape == (3, 16, 1, 1)
    for name, layer in layers.items():
        weight = net.get_submodule(name).weight
        assert torch.equal(layer.weight.flatten(), weight.flatten())
        assert layer.weight.data_ptr() != weight.data_ptr()
        assert {kernel.dtype for kernel in layer.kernels()} == {torch.float64}
        assert torch.equal(torch.cat(layer.kernels()).flatten(), weight.double().flatten())
        assert layer.sizes == census(net, IMAGES).layer(name).sizes
        assert len(layer.metrics) == layer.spec.groups
    assert layers["layer"].spec.groups == 2


def test_half_precision_is_taken_exactly():
    net = around("plain").bfloat16()
    counted = census(net, IMAGES.bfloat16())
    layer = prepare(net, counted, {}, metric="plain")[1]
    assert torch.equal(layer.weight.bfloat16(), net.layer.weight)


def test_layers_that_are_kept_are_left_out():
    depthwise = seeded(lambda: Around(nn.Conv2d(8, 8, 3, groups=8)))
    assert list(layers_of(depthwise, "plain")) == ["stem", "head"]


def test_a_group_has_its_own_blocks_of_the_moments():
    net = around("grouped")
    found = moments(net, [IMAGES], ["stem", "layer", "head"])
    one = found["layer"]
    metrics = layers_of(net, "logits", found)["layer"].metrics
    for group, metric in enumerate(metrics):
        outs, inps = slice(8 * group, 8 * group + 8), slice(4 * group, 4 * group + 4)
        assert same(
            metric, Metric.from_moments(one.out[outs, outs], one.inp[inps, inps], one.offsets, (3, 3))
        )
    assert not same(*metrics)


def test_a_group_has_its_own_part_of_a_diagonal(monkeypatch):
    monkeypatch.setattr("tenfold.layers.statistics.MOST_CORRELATED", 3)
    net = around("grouped")
    found = moments(net, [IMAGES], ["stem", "layer", "head"])
    one = found["layer"]
    for group, metric in enumerate(layers_of(net, "logits", found)["layer"].metrics):
        out, inp = one.out[8 * group : 8 * group + 8], one.inp[4 * group : 4 * group + 4]
        assert same(metric, Metric.from_moments(out, inp, one.offsets, (3, 3)))
        assert (metric.out[0].shape, metric.inp[0].shape) == ((8,), (4,))


@pytest.mark.parametrize("kind", ["logits", "activations", "plain"])
def test_what_weighs_an_error(kind):
    net = around("plain")
    found = moments(net, [IMAGES], ["stem", "layer", "head"])
    metric = layers_of(net, kind, found)["layer"].metrics[0]

    def weighs(pair: tuple[Tensor, Tensor]) -> bool:
        """Whether a factor tells directions apart. Of a multiple of the identity, the spread is rounding."""
        values = torch.linalg.eigvalsh(pair[0])
        return bool(values[-1] - values[0] > 1e-12 * values[-1])

    assert weighs(metric.out) == (kind == "logits")
    assert weighs(metric.inp) == (kind != "plain")
    assert weighs(metric.offsets) == (kind != "plain")


def test_a_layer_without_moments_is_weighed_plainly():
    metric = layers_of(around("plain"), "logits", {})["layer"].metrics[0]
    change = torch.ones(12, 8, 3, 3, dtype=torch.float64)
    assert metric.cost(change) == change.numel() / 2
