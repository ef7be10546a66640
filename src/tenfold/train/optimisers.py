"""What steps the parameters of a network that is trained with labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.core.names import OptimiserName

__all__ = ["MuonAndSgd", "optimiser", "pace", "sgd"]

_SHARE = 0.1  # of the rate: what matrices are stepped by; docs/choices.md has the comparison


def optimiser(
    name: OptimiserName,
    parameters: Iterable[nn.Parameter],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """What a name stands for; see `sgd` and `MuonAndSgd`."""
    make = {"sgd": sgd, "muon": MuonAndSgd}[name]
    return make(parameters, rate=rate, momentum=momentum, weight_decay=weight_decay)


def pace(name: OptimiserName, momentum: float) -> float:
    """How far a weight goes along a gradient that stays the same, by the rate.

    1 / (1 - momentum) for SGD, which adds its gradients up; for Muon, which averages them, the share of the
    rate that matrices take.

    Args:
        name: of the optimiser.
        momentum: of SGD, in [0, 1).

    Example:
        >>> pace("sgd", 0.75), pace("muon", 0.75)
        (4.0, 0.1)
    """
    return {"sgd": 1 / (1 - momentum), "muon": _SHARE}[name]


def sgd(
    parameters: Iterable[nn.Parameter], *, rate: float, momentum: float, weight_decay: float
) -> torch.optim.SGD:
    """SGD with Nesterov momentum.

    Args:
        parameters: what is stepped.
        rate: learning rate, above 0.
        momentum: in [0, 1).
        weight_decay: at least 0.
    """
    return torch.optim.SGD(
        parameters, lr=rate, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay
    )


class MuonAndSgd(torch.optim.Optimizer):
    """Muon for the weights of convolutions and linear layers, SGD for all other parameters.

    Each weight is stepped as a matrix (outputs x all else) along the orthogonal matrix nearest to its
    momentum (Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024), by torch's own
    `Muon`. The factors of a chain are badly conditioned against each other, which that does not feel.
    Matrices take a tenth of the rate; their momentum is Muon's own 0.95.

    Example:
        >>> layer = nn.Conv2d(3, 2, 1)
        >>> optimiser = MuonAndSgd(layer.parameters(), rate=0.1, momentum=0.9, weight_decay=0.0)
        >>> before = layer.weight.detach().clone()
        >>> layer(torch.ones(1, 3, 1, 1)).sum().backward()
        >>> optimiser.step()
        >>> bool((layer.weight != before).all())
        True
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, rate: float, momentum: float, weight_decay: float
    ) -> None:
        """Share the parameters out.

        Args:
            parameters: contiguous in memory, or in `channels_last`.
            rate: learning rate, above 0.
            momentum: of the SGD, in [0, 1).
            weight_decay: of both, at least 0.
        """
        super().__init__(parameters, {"lr": rate})
        every = self.param_groups[0]["params"]
        self._matrices = {p: nn.Parameter(_rows(p.detach(), p).view(len(p), -1)) for p in every if p.ndim > 1}
        others = [p for p in every if p.ndim <= 1]
        parts: list[torch.optim.Optimizer] = []
        if self._matrices:
            parts.append(torch.optim.Muon(self._matrices.values(), lr=rate, weight_decay=weight_decay))
        if others:
            parts.append(sgd(others, rate=rate, momentum=momentum, weight_decay=weight_decay))
        self._parts = parts

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Step every parameter that has a gradient; a closure is not called."""
        for parameter, matrix in self._matrices.items():
            grad = parameter.grad
            matrix.grad = None if grad is None else _rows(grad, parameter).reshape(matrix.shape)
        for part in self._parts:
            share = _SHARE if isinstance(part, torch.optim.Muon) else 1.0
            part.param_groups[0]["lr"] = share * self.param_groups[0]["lr"]
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Momenta of both."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def _rows(tensor: Tensor, weight: Tensor) -> Tensor:
    """A tensor of a weight's shape, its axes in the order in which the weight lies in memory."""
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return tensor.permute(0, 2, 3, 1) if last else tensor
