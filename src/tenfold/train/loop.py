"""Down a loss, step by step: with states to go back to, and states to go on from after a kill.

What a step computes depends on nothing but the state before it and the step's number: its batch, its rate and
all that is random. So a run that goes on from a state ends with the bits of one that was never stopped.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tenfold.core.errors import NonFiniteError, RunError
from tenfold.train.batches import seeded
from tenfold.train.descent import descend
from tenfold.train.running import Running

__all__ = ["Descent", "Ended", "Loop", "Loss", "Rollback", "Row", "Snapshot", "Step", "fill_", "tensors_of"]

_KEPT = 50  # steps between two states to go back to
_SECONDS = 10.0  # between two of them that are also written
_BLOW_UP = 10.0  # times the first loss, or the loss of a network that knows nothing
_RETURNS = 3  # to one state, before it is given up
_DRAWN = 3  # beside the seeds of order, augmentation and blends
_SLOWER = 0.5  # the rate after a return


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        step: steps made, from 1.
        loss: of its batch, before the step.
        rate: learning rate.
        penalty: what was minimised beside the loss.
    """

    step: int
    loss: float
    rate: float
    penalty: float = 0.0


@dataclass(frozen=True)
class Rollback:
    """A return to an earlier state.

    Attributes:
        step: at which all went wrong.
        rate: of that step from then on.
        cause: what was met.
    """

    step: int
    rate: float
    cause: str


@dataclass(frozen=True)
class Snapshot:
    """The network at the end of a cycle.

    Attributes:
        cycle: from 1.
        step: steps made.
        accuracy: of the held-out images, percent.
        loss: of the held-out images, nats.
    """

    cycle: int
    step: int
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Ended:
    """Comes last.

    Attributes:
        chosen: parameters and buffers, for `fill_`, of the latest snapshot whose held-out accuracy is within
            one standard error of the highest (the rule of Breiman et al., Classification and Regression
            Trees, 1984, section 3.4.3); the last ones where none was judged.
        last: those of the last snapshot, or of the network as it is where none was taken.
        step: steps made at the snapshot that was chosen; 0 where none was judged.
    """

    chosen: list[Tensor]
    last: list[Tensor]
    step: int = 0


Row = Step | Rollback | Snapshot | Ended

_KINDS: dict[str, type[Step] | type[Rollback] | type[Snapshot]] = {
    kind.__name__: kind for kind in (Step, Rollback, Snapshot)
}


class Loss(NamedTuple):
    """What a step minimises, and what is told of it.

    Attributes:
        total: a scalar that the parameters were computed into.
        told: a scalar that is recorded and that must not blow up.
        penalty: a scalar of `total` that is recorded too, the same in all processes; None for 0.
    """

    total: Tensor
    told: Tensor
    penalty: Tensor | None = None


@dataclass(frozen=True)
class Descent:
    """Settings of a loop.

    Attributes:
        rates: learning rate of each step, from step 1.
        clip: norm that the gradient is scaled down to, above 0.
        floor: a loss that is no sign of trouble, whatever the first one is.
        averaging: decay of the running average of the weights that snapshots are taken of, in [0, 1); 0 takes
            the weights themselves.
        ends: steps after which a snapshot is taken, ascending.
    """

    rates: Sequence[float]
    clip: float
    floor: float = 0.0
    averaging: float = 0.0
    ends: tuple[int, ...] = ()


class Loop:
    """A descent that can be broken off at any moment.

    A gradient or loss that is not finite, or a loss ten times the first one (or `floor`, if that is more),
    goes back to the last state that was kept, at half the rate; after three returns to one state it is an
    error. A state is kept once the loss that follows from it is known to be sound.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: Optimizer,
        loss: Callable[[int], Loss],
        settings: Descent,
        running: Running,
    ) -> None:
        """Name everything; nothing is run yet.

        Args:
            model: in the mode and form in which it is trained; changed in place.
            optimiser: of its parameters.
            loss: of a step.
            settings: see `Descent`.
            running: see `Running`.
        """
        self._model, self._optimiser, self._loss = model, optimiser, loss
        self._settings, self._running = settings, running
        averaging = settings.averaging
        self._average = [p.detach().clone() for p in model.parameters()] if averaging else []
        self._averaged = get_ema_multi_avg_fn(averaging)
        self._step, self._scale, self._limit, self._returns = 0, 1.0, math.inf, 0
        self._rows: list[Step | Rollback | Snapshot] = []
        self._last: list[Tensor] = []
        self._chosen: dict[str, Any] = {}
        self._kept: dict[str, Any] = {}
        self._written = time.monotonic()

    def run(self) -> Iterator[Row]:
        """All steps; first those that an earlier process made, from what it kept.

        Raises:
            NonFiniteError: the loss blows up at any rate.
            RunError: the state that was kept is of another network.
        """
        self._begin()
        yield from tuple(self._rows)
        try:
            while self._step < len(self._settings.rates):
                rows = self._advance()
                self._rows += rows
                yield from rows
            self._keep(self._state())
        finally:
            self._write()
        last = self._last or tensors_of(self._model)
        yield Ended(self._chosen.get("tensors", last), last, self._chosen.get("step", 0))

    def _advance(self) -> list[Step | Rollback | Snapshot]:
        """One step, or a return."""
        step, before = self._step + 1, self._state() if self._step % _KEPT == 0 else None
        rate = self._scale * self._settings.rates[step - 1]
        with seeded(self._running.seed + _DRAWN, step):
            loss = self._loss(step)
        told = self._running.team.mean(float(loss.told.detach()))
        if not self._step:
            self._limit = _BLOW_UP * max(told, self._settings.floor)
        if not told <= self._limit:
            return [self._return(step, rate, f"the loss is {told:.4g}")]
        if before is not None and self._step > self._kept["step"]:
            self._keep(before)
        if not self._descended(loss.total, rate):
            return [self._return(step, rate, "the gradient is not finite")]
        self._step = step
        if self._average:
            self._averaged(self._average, [p.detach() for p in self._model.parameters()], step)
        penalty = 0.0 if loss.penalty is None else float(loss.penalty.detach())
        return [Step(step, told, rate, penalty), *(self._snapshot() if step in self._settings.ends else ())]

    def _descended(self, loss: Tensor, rate: float) -> bool:
        """One step of the optimiser, unless the gradient is not finite."""
        clip, team = self._settings.clip, self._running.team
        return math.isfinite(descend(loss, self._optimiser, rate=rate, clip=clip, team=team))

    def _return(self, step: int, rate: float, cause: str) -> Rollback:
        """Go back to the state that was kept."""
        self._returns += 1
        if self._returns > _RETURNS:
            raise NonFiniteError(f"step {step}: {cause}, also at a rate of {rate:.2g}; lower the rate")
        self._restore(self._kept)
        self._scale *= _SLOWER
        return Rollback(step, rate * _SLOWER, cause)

    def _snapshot(self) -> list[Snapshot]:
        """Judge the network, or the average of its weights; then it goes on as it was."""
        before = tensors_of(self._model)
        if self._average:
            fill_(self._model, [*self._average, *before[len(self._average) :]])
        found = self._running.judge() if self._running.judge else None
        self._last = tensors_of(self._model)
        fill_(self._model, before)
        if found is None:
            return []
        floor = self._chosen.get("floor", 0.0)
        if found.accuracy >= floor:
            floor = max(floor, found.accuracy - found.standard_error)
            self._chosen = {"floor": floor, "step": self._step, "tensors": self._last}
        return [Snapshot(self._settings.ends.index(self._step) + 1, self._step, found.accuracy, found.loss)]

    def _begin(self) -> None:
        """Start where the last process stopped, or at the start."""
        state = self._running.keeper.load() if self._running.keeper else None
        if state is not None:
            self._check(state)
            self._restore(state)
            self._scale, self._limit = state["scale"], state["limit"]
            self._rows = [_KINDS[kind](**row) for kind, row in state["rows"]]
        self._kept = self._state()

    def _check(self, state: Mapping[str, Any]) -> None:
        """Refuse the state of another network or schedule."""
        found, own = ([tuple(t.shape) for t in tensors] for tensors in (state["tensors"], _live(self._model)))
        if found != own or state["step"] > len(self._settings.rates):
            raise RunError(
                "the state that was kept is of another network or schedule; remove the run's checkpoint to "
                "begin anew"
            )

    def _keep(self, state: dict[str, Any]) -> None:
        """Keep a state in memory, and now and then for another process."""
        self._kept, self._returns = state, 0
        if time.monotonic() - self._written >= _SECONDS:
            self._write()

    def _write(self) -> None:
        """Hand over the state that was kept last."""
        if self._running.keeper and self._kept:
            rows = [(type(row).__name__, asdict(row)) for row in self._rows[: self._kept["told"]]]
            self._running.keeper.save({**self._kept, "rows": rows})
            self._written = time.monotonic()

    def _state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "step": self._step,
            "scale": self._scale,
            "limit": self._limit,
            "told": len(self._rows),
            "tensors": tensors_of(self._model),
            "optimiser": copy.deepcopy(self._optimiser.state_dict()),
            "average": [tensor.clone() for tensor in self._average],
            "last": self._last,
            "chosen": self._chosen,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Go to a state; the rate and what was told stay."""
        self._step = state["step"]
        fill_(self._model, state["tensors"])
        self._optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))
        self._average = [tensor.clone() for tensor in state["average"]]
        self._last, self._chosen = state["last"], state["chosen"]


def tensors_of(model: nn.Module) -> list[Tensor]:
    """Copies of all parameters, then of all buffers, in network order, whatever they are called."""
    return [tensor.clone() for tensor in _live(model)]


def fill_(model: nn.Module, tensors: Sequence[Tensor]) -> None:
    """Give a network the parameters and buffers that `tensors_of` took from it or from one of its shape."""
    for own, tensor in zip(_live(model), tensors, strict=True):
        own.copy_(tensor)


def _live(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, detached."""
    return [tensor.detach() for tensor in (*model.parameters(), *model.buffers())]
