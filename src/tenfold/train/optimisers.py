"""What steps the parameters of a network that is trained with labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.core.names import OptimiserName

__all__ = ["MuonAndSgd", "optimiser", "orthogonal", "pace", "sgd"]

_MOMENTUM = 0.95
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: the steepest at 0
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
    momentum (Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024). The factors of a
    chain are badly conditioned against each other, which that does not feel. Matrices take a tenth of the
    rate, times the root of outputs over inputs where there are more outputs; their momentum is 0.95. They
    alone decay, by that rate and apart from their gradient: all steps are of one length, so that a matrix
    that grows turns less with each.

    `torch.optim.Muon` multiplies in bfloat16, at a sixtieth of the speed of float32 where the processor has
    no instructions for it; here all is float32.

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
            parameters: those in less than float32 have their momentum in float32, and are stepped in it.
            rate: learning rate, above 0.
            momentum: of the SGD, in [0, 1).
            weight_decay: of the matrices, at least 0; `torch.optim.Muon` has 0.1.
        """
        super().__init__(parameters, {"lr": rate})
        every = self.param_groups[0]["params"]
        self._means = {
            p: torch.zeros_like(p.detach().flatten(1), dtype=torch.promote_types(p.dtype, torch.float32))
            for p in every
            if p.ndim > 1
        }
        self._decay = weight_decay
        others = [p for p in every if p.ndim <= 1]
        self._sgd = sgd(others, rate=rate, momentum=momentum, weight_decay=0.0) if others else None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Step every parameter that has a gradient; a closure is not called."""
        rate = self.param_groups[0]["lr"]
        for weight, mean in self._means.items():
            if weight.grad is not None:
                slope = weight.grad.flatten(1).to(mean.dtype)
                mean.lerp_(slope, 1 - _MOMENTUM)
                direction = orthogonal(slope.lerp(mean, _MOMENTUM)).view(weight.shape)
                longer = math.sqrt(max(1.0, mean.shape[0] / mean.shape[1]))
                weight.mul_(1 - _SHARE * rate * self._decay).sub_(direction, alpha=_SHARE * rate * longer)
        if self._sgd:
            self._sgd.param_groups[0]["lr"] = rate
            self._sgd.step()

    def state_dict(self) -> dict[str, Any]:
        """Momenta of both."""
        return {"means": list(self._means.values()), "sgd": self._sgd.state_dict() if self._sgd else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        for mean, kept in zip(self._means.values(), state_dict["means"], strict=True):
            mean.copy_(kept)
        if self._sgd:
            self._sgd.load_state_dict(state_dict["sgd"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the orthogonal matrix nearest to one: U V' of U S V', but with singular values of 0.6 to 1.3.

        X <- (a I + b X X' + c (X X')^2) X,     five times from matrix / |matrix|

    The polynomials are gathered in one square matrix of the shorter side, which multiplies X once.

    Args:
        matrix: (m, n), float32 or float64.

    Returns:
        (m, n), contiguous. Singular values below a thousandth of the norm come out smaller than 0.6.

    Example:
        >>> orthogonal(torch.diag(torch.tensor([4.0, 1.0]))).round().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-30)
    gram = wide @ wide.T
    gathered = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    a, b, c = _QUINTIC
    for _ in range(5):
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        gathered = polynomial @ gathered
        gram = polynomial @ gram @ polynomial
    made: Tensor = gathered @ wide
    return made if wide.shape == matrix.shape else made.T.contiguous()
