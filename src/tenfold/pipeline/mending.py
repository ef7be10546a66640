"""What brings a network of fresh chains back: batch-norm statistics, recovery, fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from tenfold.options import Noted, Progress
from tenfold.pipeline.material import Material
from tenfold.runs.checkpoint import Checkpoint
from tenfold.train.loop import Ended, Rollback, Row, Snapshot, Step, fill_, tensors_of
from tenfold.train.team import Team

__all__ = ["Mending"]


@dataclass
class Mending:
    """The phases after the layers are replaced, and what is told of them.

    Attributes:
        made: the network of chains; changed in place.
        material: what it was made of, and images.
        checkpoint: where states are kept.
        team: the processes that fine-tune together.
        tell: told what is going on.
        noted: given what goes into the history.
        history: what happened, one mapping a point.
        last: parameters and buffers after the last epoch, for `fill_`; None without fine-tuning.
    """

    made: nn.Module
    material: Material
    checkpoint: Checkpoint
    team: Team
    tell: Progress
    noted: Noted
    history: list[dict[str, Any]] = field(default_factory=list)
    last: list[Tensor] | None = None

    def recover(self) -> None:
        """Without labels; undone where the answers are further from the original's than before."""
        before = self._judge("one shot")
        recovery = self.material.options.recovery
        if not recovery.steps:
            return
        fitted, distance = tensors_of(self.made), self.material.mismatch(self.made)
        keeper = self.checkpoint.place("recovery")
        for row in self.material.recovered(self.made, recovery, keeper):
            self._note(_told("recovery", row))
            if isinstance(row, Step):
                self.tell("recover", row.step, recovery.steps)
        self._judge("recovered")
        if not self.material.mismatch(self.made) <= distance:
            fill_(self.made, fitted)
            self._note([{**row, "phase": "recovery undone"} for row in before])

    def train(self) -> None:
        """With labels; leaves the network at the snapshot that was chosen."""
        rows = self.material.trained(self.made, self.checkpoint.place("training"), self.team)
        steps = self._steps()
        snapshots: list[Snapshot] = []
        chosen = 0
        for row in rows:
            self._note(_told("training", row))
            if isinstance(row, Step):
                self.tell("train", row.step, steps)
            elif isinstance(row, Snapshot):
                snapshots.append(row)
                self.noted(self._cycle(row))
            elif isinstance(row, Ended):
                self.last, chosen = row.last, row.step
                fill_(self.made, row.chosen)
        self._note({**self._cycle(row), "chosen": row.step == chosen} for row in snapshots)

    def _note(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows to the history."""
        for row in rows:
            self.history.append(row)
            self.noted(row)

    def _steps(self) -> int:
        """Of the fine-tuning in all."""
        options = self.material.options
        images = len(self.material.data.train) - len(self.material.held_out)
        return options.training.epochs * self._per_epoch(images)

    def _per_epoch(self, images: int) -> int:
        """Batches an epoch."""
        return max(images // min(self.material.options.training.batch_size, images), 1)

    def _cycle(self, row: Snapshot) -> dict[str, Any]:
        """A snapshot."""
        images = len(self.material.data.train) - len(self.material.held_out)
        return {
            "phase": "snapshot",
            "cycle": row.cycle,
            "step": row.step,
            "epoch": row.step / self._per_epoch(images),
            "held_out_accuracy": row.accuracy,
            "held_out_loss": row.loss,
        }

    def _judge(self, phase: str) -> list[dict[str, Any]]:
        """Re-estimate the batch norms, and measure on the held-out images; gives what was noted."""
        self.tell("judge", 0, 1)
        self.material.re_estimate(self.made)
        rows = []
        if len(self.material.held_out):
            found = self.material.judged(self.made, self.material.held_out)
            rows = [{"phase": phase, "held_out_accuracy": found.accuracy, "held_out_loss": found.loss}]
        self._note(rows)
        self.tell("judge", 1, 1)
        return rows


def _told(phase: str, row: Row) -> Iterator[dict[str, Any]]:
    """A row of the history for what a loop says."""
    if isinstance(row, Step):
        yield {"phase": phase, "step": row.step, "loss": row.loss, "rate": row.rate}
    elif isinstance(row, Rollback):
        yield {"phase": "rollback", "step": row.step, "rate": row.rate, "cause": row.cause}
