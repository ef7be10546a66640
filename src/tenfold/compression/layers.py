"""A plan held against the layers of its network: before it is followed, and after."""

from __future__ import annotations

from collections.abc import Mapping

from tenfold.compression.fit import Fitted
from tenfold.core.errors import PlanError, nearest
from tenfold.core.plan import Plan
from tenfold.core.report import LayerReport
from tenfold.layers.census import Census, LayerInfo

__all__ = ["check_layers", "layer_reports", "with_kept"]


def check_layers(plan: Plan, counted: Census, *, source: str) -> None:
    """Refuse a plan with layers that the network does not have or that must be kept.

    Args:
        plan: layer -> choice.
        counted: the network.
        source: where the plan comes from, as messages name it.

    Raises:
        PlanError: names the layer, and the near names or the reason.
    """
    names = [layer.name for layer in counted.layers]
    for name, choice in plan.items():
        if name not in names:
            raise PlanError(f"{source}: no layer {name!r} in this network; {nearest(name, names)}")
        reason = counted.layer(name).reason
        if choice is not None and reason:
            raise PlanError(f"{source}: {name} cannot be factorised: {reason}; write null for it")


def with_kept(plan: Plan, counted: Census) -> Plan:
    """A plan that names every layer of the network, in network order."""
    return Plan({layer.name: plan.get(layer.name) for layer in counted.layers})


def layer_reports(
    plan: Plan,
    fits: Mapping[str, Fitted],
    counted: Census,
    smaller: Census,
    rises: Mapping[str, float] | None = None,
) -> tuple[LayerReport, ...]:
    """One row a layer of the original network.

    Args:
        plan: names every layer.
        fits: of the layers that were replaced.
        counted: the original network.
        smaller: the network of chains.
        rises: measured layer by layer; what is not there was not measured.
    """
    return tuple(_layer_report(info, plan, fits, smaller, rises or {}) for info in counted.layers)


def _layer_report(
    info: LayerInfo, plan: Plan, fits: Mapping[str, Fitted], smaller: Census, rises: Mapping[str, float]
) -> LayerReport:
    """What became of one layer."""
    fitted = fits.get(info.name)
    stages = [x for x in smaller.layers if x.name == info.name or x.name.startswith(info.name + ".")]
    reason = "" if fitted else info.reason or "kept: a chain would cost more than it saves here"
    return LayerReport(
        name=info.name,
        choice=plan[info.name],
        reason=reason,
        params=(info.params, sum(x.params for x in stages)),
        macs=(info.macs, sum(x.macs for x in stages)),
        error=fitted.error if fitted else 0.0,
        predicted_rise=fitted.rise if fitted else 0.0,
        measured_rise=rises.get(info.name),
    )
