"""Putting fitted chains into a network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from tenfold.compression.fit import Fitted, fit_plan
from tenfold.compression.prepare import prepare
from tenfold.core.plan import Plan
from tenfold.core.shapes import Stage
from tenfold.layers.census import census, check_finite
from tenfold.layers.chain import build_chain
from tenfold.layers.describe import describe
from tenfold.layers.surgery import replace_

__all__ = ["apply_", "decompose_model", "put_chain_"]


def apply_(model: nn.Module, fits: Mapping[str, Fitted]) -> None:
    """Replace the layers of `model` by their chains, in place.

    A chain takes the dtype, device, training flag and `requires_grad` of the layer it replaces; a
    shared layer stays shared.
    """
    for name, fitted in fits.items():
        put_chain_(model, name, fitted.stages, fitted.weights)


def put_chain_(model: nn.Module, name: str, stages: tuple[Stage, ...], weights: Sequence[Tensor]) -> None:
    """Replace the layer `name` by a chain, in place, as `apply_` does."""
    layer = model.get_submodule(name)
    weight: Tensor = layer.weight  # type: ignore[assignment]
    bias: Tensor | None = layer.bias  # type: ignore[assignment]
    cast = tuple(stage.to(weight) for stage in weights)
    replace_(model, name, build_chain(describe(layer), stages, cast, bias, trainable=weight.requires_grad))


def decompose_model(model: nn.Module, plan: Plan, example: Tensor | tuple[Tensor, ...]) -> nn.Module:
    """A copy of `model` in which the plan's layers are chains, fitted without any data.

    Args:
        model: any network; not changed. Its interface (inputs, outputs, names of other layers) stays.
        plan: layer -> choice; a layer that is not named is kept.
        example: what the network is called with, batch first.

    Raises:
        PlanError: the plan factorises a layer that is not there, or one that cannot be factorised.
        RankError: a rank does not fit its layer.
        NonFiniteError: the network holds NaN or inf.

    Example:
        >>> import torch
        >>> from tenfold.core.plan import Choice
        >>> net = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU())
        >>> made = decompose_model(net, Plan({"0": Choice("tucker", (4, 4))}), torch.zeros(1, 8, 5, 5))
        >>> [tuple(stage.weight.shape) for stage in made[0]]
        [(4, 8, 1, 1), (4, 4, 3, 3), (8, 4, 1, 1)]
    """
    check_finite(model)
    made = copy.deepcopy(model)
    apply_(made, fit_plan(prepare(made, census(made, example), {}, metric="plain"), plan))
    return made
