"""The layers of a network as the solvers want them: a copy of the kernel, and a metric."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from tenfold.algebra.metric import Metric, plain_metric
from tenfold.core.names import MetricKind
from tenfold.layers.census import Census, LayerInfo
from tenfold.layers.statistics import Moments
from tenfold.ranks.table import Layer

__all__ = ["prepare"]


def prepare(
    model: nn.Module, census: Census, moments: Mapping[str, Moments], *, metric: MetricKind = "logits"
) -> list[Layer]:
    """The layers of `model` that can be factorised, in network order.

    Args:
        model: the network that was counted.
        census: its count.
        moments: of every factorisable layer; not looked at for the plain metric.
        metric: see `tenfold.core.names.MetricKind`.

    Returns:
        Kernels and metrics on the CPU; metrics in float64.
    """
    return [_layer(model, info, moments.get(info.name), metric) for info in census.factorisable]


def _layer(model: nn.Module, info: LayerInfo, found: Moments | None, metric: MetricKind) -> Layer:
    """One layer, its kernel with four modes also where it is linear."""
    if info.spec is None:
        raise AssertionError(info)  # a factorisable layer has a spec
    weight: Tensor = model.get_submodule(info.name).weight  # type: ignore[assignment]
    kernel = weight.detach().to("cpu", copy=True).reshape(info.spec.shape)
    if metric == "plain" or found is None:
        metrics = (plain_metric(info.spec.group.shape),) * info.spec.groups
    else:
        metrics = tuple(_metric(found, info, group, metric) for group in range(info.spec.groups))
    return Layer(info.name, info.spec, info.sizes, kernel, metrics)


def _metric(found: Moments, info: LayerInfo, group: int, metric: MetricKind) -> Metric:
    """The metric of one group: its own diagonal blocks of A and B."""
    if info.spec is None:
        raise AssertionError(info)
    one = info.spec.group
    outs = slice(group * one.out, (group + 1) * one.out)
    inps = slice(group * one.inp, (group + 1) * one.inp)
    out = _block(found.out, outs) if metric == "logits" else plain_metric(one.shape).out[0]
    return Metric.from_moments(out, _block(found.inp, inps), found.offsets, one.kernel)


def _block(moment: Tensor, channels: slice) -> Tensor:
    """The part of a moment, or of its diagonal, that is about these channels."""
    return moment[channels, channels] if moment.dim() == 2 else moment[channels]
