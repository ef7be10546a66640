"""The tensors in whatever a network answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

__all__ = ["tensors"]


def tensors(answer: object) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists and mappings, in order.

    Example:
        >>> import torch
        >>> [float(t) for t in tensors({"a": torch.tensor(1.0), "b": [torch.tensor(2.0)]})]
        [1.0, 2.0]
    """
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, Mapping | Sequence) and not isinstance(answer, str):
        for part in answer.values() if isinstance(answer, Mapping) else answer:
            yield from tensors(part)
