"""What a training needs to know of the process it runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tenfold.train.evaluate import Evaluation
from tenfold.train.team import ALONE, Team

__all__ = ["Keeper", "Running"]


class Keeper(Protocol):
    """Where a loop finds and leaves its state: dictionaries and lists of numbers, texts and tensors."""

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None where there is none."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state, in full or not at all."""


@dataclass(frozen=True)
class Running:
    """How a training runs, as distinct from what it does.

    Attributes:
        seed: of order, augmentation, and what the network itself draws, such as dropout.
        cache: folder of what was timed before; see `tenfold.train.execution.choose_execution`.
        keeper: where the state is kept from which another process goes on; None keeps none.
        judge: what the network is worth as it is, None if that cannot be told; asked at the end of each
            cycle. May change its buffers, not its weights.
        team: the processes that each compute a share of every batch; the network of each ends the same.
    """

    seed: int = 0
    cache: Path | None = None
    keeper: Keeper | None = None
    judge: Callable[[], Evaluation | None] | None = None
    team: Team = ALONE
