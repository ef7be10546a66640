"""The processes that train one network together, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from tenfold.core.errors import RunError

__all__ = ["ALONE", "Team", "joined"]

_PATIENCE = timedelta(days=30)  # all wait while the first one searches ranks


@dataclass(frozen=True)
class Team:
    """Processes of PyTorch's distributed engine; the same code runs in each.

    Attributes:
        rank: of this process, from 0.
        size: processes in all, at least 1.

    Example:
        >>> Team(0, 1).mean(2.5)
        2.5
    """

    rank: int
    size: int

    def share(self, batch: Tensor) -> Tensor:
        """The part of a batch that this process computes: equal parts, whose first one is rank 0's."""
        return batch.chunk(self.size)[self.rank] if self.size > 1 else batch

    def mean(self, value: float) -> float:
        """Of a number over all processes."""
        return self.sum(torch.tensor(value, dtype=torch.float64)).item() / self.size

    def sum(self, tensor: Tensor) -> Tensor:
        """Of a tensor over all processes, in place."""
        if self.size > 1:
            with _in_words():
                distributed.all_reduce(tensor)
        return tensor

    def mean_(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all processes: one message for all of them."""
        if self.size == 1:
            return
        tensors = list(tensors)
        flat = self.sum(torch.cat([tensor.reshape(-1) for tensor in tensors])) / self.size
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def told(self, text: str) -> str:
        """The text of the first process, in all of them."""
        if self.size == 1:
            return text
        texts = [text]
        distributed.broadcast_object_list(texts)
        return texts[0]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            with _in_words():
                distributed.barrier()


@contextmanager
def _in_words() -> Iterator[None]:
    """What is met when another process is gone."""
    try:
        yield
    except RuntimeError as error:
        line = str(error).partition("\n")[0]
        raise RunError(f"another process of this job is gone ({line}); see what it said") from error


ALONE = Team(0, 1)
"""One process."""


@contextmanager
def joined() -> Iterator[Team]:
    """The processes that `torchrun` started, or this one alone.

    They talk over NCCL where there are GPUs, over gloo elsewhere.
    """
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
