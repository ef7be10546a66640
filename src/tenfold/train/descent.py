"""One step down a loss, the same for every kind of training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tenfold.train.team import ALONE, Team

__all__ = ["descend"]


def descend(
    loss: Tensor, optimiser: torch.optim.Optimizer, *, rate: float, clip: float, team: Team = ALONE
) -> float:
    """Step all parameters of `optimiser` against the gradient of `loss`, if that is finite.

    Args:
        loss: a scalar that they were computed into; its graph is used up.
        optimiser: of the parameters.
        rate: learning rate of this step, at least 0.
        clip: the gradient is scaled down to this norm, over all parameters together, above 0.
        team: processes whose mean gradient is taken.

    Returns:
        The norm of the gradient before it was scaled down; at NaN or inf no step was made.

    Example:
        >>> x = torch.ones(1, requires_grad=True)
        >>> descend((3 * x).sum(), torch.optim.SGD([x], lr=1.0), rate=0.5, clip=1.0)
        3.0
        >>> round(float(x.detach()), 3)
        0.5
    """
    optimiser.zero_grad()
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    team.mean_(p.grad for p in parameters if p.grad is not None)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, clip))
    if math.isfinite(norm):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
    return norm
