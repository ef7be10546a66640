"""What others published, as far as it could be checked against its text. Measured by them, not by us."""

from __future__ import annotations

__all__ = ["PUBLISHED", "as_table"]

NOT_SAID = "not in the abstract"
_HALOC = (
    "HALOC (Tucker-2, ranks by a differentiable search)",
    "Xiao et al., arXiv:2301.09422, abstract",
)
_ADMM = (
    "tensor train by ADMM",
    "Yin, Sui, Liao & Yuan, CVPR 2021, arXiv:2107.12422, abstract",
)
_TR_BO = (
    "TR-BO (tensor rings, ranks by Bayesian optimisation)",
    "Zhang, Liu, Shi, Zhang & Liu, 2024, doi:10.1117/12.3021187, abstract",
)
PUBLISHED = (
    (_TR_BO[0], "ResNet-20, CIFAR-10", "13.66x", NOT_SAID, "87.67 % reached", NOT_SAID, _TR_BO[1]),
    (_HALOC[0], "ResNet-20, CIFAR-10", NOT_SAID, "72.20 % fewer FLOPs", "+0.07", NOT_SAID, _HALOC[1]),
    (_HALOC[0], "VGG-16, CIFAR-10", NOT_SAID, "86.44 % fewer FLOPs", "+0.38", NOT_SAID, _HALOC[1]),
    (_ADMM[0], "ResNet-20, CIFAR-100", "2.3x", NOT_SAID, "+1.96", NOT_SAID, _ADMM[1]),
    (_ADMM[0], "ResNet-32, CIFAR-100", "2.4x", NOT_SAID, "+2.21", NOT_SAID, _ADMM[1]),
)
"""Method, network and data, parameters, operations, accuracy against their original, epochs, source."""


def as_table() -> str:
    """All of it."""
    head = ("method", "network, data", "parameters", "operations", "accuracy, points", "epochs", "source")
    rows = (head, ("---",) * len(head), *PUBLISHED)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
