"""Learning rates, step by step, as torch's own schedulers give them."""

from __future__ import annotations

from math import ceil
from typing import get_args

import torch
from torch.optim import lr_scheduler as torch_schedules

from tenfold.core.errors import UnknownNameError
from tenfold.core.names import ScheduleName

__all__ = ["SCHEDULES", "cycle_ends", "rates"]

SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)

_LAST = 0.01  # of the peak: where a cosine or an exponential cycle ends


def rates(name: str, *, peak: float, steps: int, cycles: int = 1, decayed: float = 0.05) -> tuple[float, ...]:
    """The learning rate of each step.

        cosine-cyclic  `cycles` half cosines from `peak` to a hundredth of it  (CosineAnnealingWarmRestarts)
        exp-cyclic     `cycles` triangles whose height decays exponentially    (CyclicLR, exp_range)
        one-cycle      up over 30 % of the steps, then down to nothing         (OneCycleLR)
        step           a tenth after half of the steps, again after 3/4        (MultiStepLR)
        constant       `peak`                                                  (ConstantLR)

    Args:
        name: one of `SCHEDULES`.
        peak: highest rate, above 0.
        steps: steps in all, at least 0.
        cycles: cycles of equal length, at least 1; the two cyclic schedules alone look at it.
        decayed: share of its height that a triangle has left at the end, in (0, 1].

    Raises:
        UnknownNameError: no such schedule.

    Example:
        >>> [round(rate, 3) for rate in rates("step", peak=1.0, steps=4)]
        [1.0, 1.0, 0.1, 0.01]
    """
    if name not in SCHEDULES:
        raise UnknownNameError("schedule", name, SCHEDULES)
    if steps == 0:
        return ()
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    schedule = _scheduler(name, optimiser, peak, steps, ceil(steps / cycles), decayed)
    optimiser.step()  # torch warns of a schedule that is stepped before its optimiser
    found = []
    for _ in range(steps):
        found.append(float(schedule.get_last_lr()[0]))
        if len(found) < steps:
            schedule.step()
    return tuple(found)


def cycle_ends(steps: int, cycles: int) -> tuple[int, ...]:
    """The last step of each cycle, from 1; where a snapshot is taken, also under a schedule of one cycle.

    Example:
        >>> cycle_ends(10, 3)
        (4, 8, 10)
    """
    length = max(ceil(steps / cycles), 1)
    return tuple(min(end, steps) for end in range(length, steps + length, length))


def _scheduler(
    name: str, optimiser: torch.optim.Optimizer, peak: float, steps: int, length: int, decayed: float
) -> torch_schedules.LRScheduler:
    """Torch's scheduler of that name."""
    if name == "cosine-cyclic":
        return torch_schedules.CosineAnnealingWarmRestarts(optimiser, T_0=length, eta_min=_LAST * peak)
    if name == "exp-cyclic":
        return torch_schedules.CyclicLR(
            optimiser,
            base_lr=_LAST * peak,
            max_lr=peak,
            step_size_up=max(length // 2, 1),
            step_size_down=max(length - length // 2, 1),
            mode="exp_range",
            gamma=decayed ** (1 / steps),
            cycle_momentum=False,
        )
    if name == "one-cycle":
        return torch_schedules.OneCycleLR(optimiser, peak, total_steps=max(steps, 2), cycle_momentum=False)
    if name == "step":
        return torch_schedules.MultiStepLR(optimiser, [ceil(steps / 2), ceil(3 * steps / 4)])
    return torch_schedules.ConstantLR(optimiser, factor=1.0)
