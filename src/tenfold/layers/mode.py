"""Training or evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["in_mode"]


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[nn.Module]:
    """Hold `model` in one mode; afterwards every module has the flag it had before, also after an error.

    `model.train(flag)` alone would lose which modules had a flag of their own (a frozen batch norm).

    Example:
        >>> net = nn.Sequential(nn.ReLU(), nn.Dropout().eval())
        >>> with in_mode(net, training=False):
        ...     net[0].training
        False
        >>> net[0].training, net[1].training
        (True, False)
    """
    flags = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield model
    finally:
        for module, flag in flags:
            module.training = flag
