from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from tenfold.core.errors import NonFiniteError, RunError
from tenfold.train.evaluate import Evaluation
from tenfold.train.loop import Descent, Ended, Loop, Loss, Rollback, Snapshot, Step, tensors_of
from tenfold.train.running import Running

KEPT = 50  # steps between two states that are kept


class Memory:
    """Keeps states in memory."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def load(self) -> dict[str, Any] | None:
        return copy.deepcopy(self.states[-1]) if self.states else None

    def save(self, state: Mapping[str, Any]) -> None:
        self.states.append(copy.deepcopy(dict(state)))


class Bowl(nn.Module):
    """x, pulled towards 0 from 1, with dropout and a batch norm that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(4))
        self.register_buffer("calls", torch.tensor(0))
        self.dropout = nn.Dropout(0.5)

    def forward(self) -> torch.Tensor:
        self.calls += 1
        return self.dropout(self.x).square().sum()


def loop(
    net: Bowl,
    steps: int = 130,
    *,
    rate: float = 1e-3,
    loss: Any = None,
    running: Running | None = None,
    **settings: Any,
) -> Loop:
    def plain(_: int) -> Loss:
        value = net()
        return Loss(value, value)

    optimiser = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    descent = Descent([rate] * steps, clip=1e9, **settings)
    return Loop(net, optimiser, loss or plain, descent, running or Running())


def bits(net: nn.Module) -> list[list[float]]:
    return [tensor.reshape(-1).tolist() for tensor in tensors_of(net)]


def test_a_step_a_row_and_the_end_last() -> None:
    net = Bowl()
    rows = list(loop(net, 3).run())
    assert [type(row) for row in rows] == [Step, Step, Step, Ended]
    assert [row.step for row in rows[:3]] == [1, 2, 3]
    assert {row.rate for row in rows[:3]} == {1e-3}
    assert [t.tolist() for t in rows[-1].last] == [t.tolist() for t in tensors_of(net)]
    assert (rows[-1].chosen, rows[-1].step) == (rows[-1].last, 0)


@pytest.mark.parametrize("stop", [1, 49, 50, 51, 77, 100, 129])
def test_goes_on_with_the_same_bits(stop: int) -> None:
    whole, memory = Bowl(), Memory()
    expected = list(loop(whole).run())
    first = Bowl()
    steps = loop(first, running=Running(keeper=memory)).run()
    for _ in range(stop):
        next(steps)
    steps.close()  # as an exception would
    assert memory.states[-1]["step"] == (stop - 1) // KEPT * KEPT
    second = Bowl()
    torch.nn.init.zeros_(second.x)
    rows = list(loop(second, running=Running(keeper=memory)).run())
    assert rows[:-1] == expected[:-1]
    assert bits(second) == bits(whole)


def test_what_is_finished_is_told_again_and_not_done_again() -> None:
    memory = Memory()
    first = list(loop(Bowl(), running=Running(keeper=memory)).run())
    again = loop(Bowl(), loss=lambda _: pytest.fail("did a step"), running=Running(keeper=memory))
    assert list(again.run())[:-1] == first[:-1]


def troubled(net: Bowl, at: int, value: float, times: int = 1) -> Any:
    """The loss is `value` when step `at` is made for the first `times` times."""
    met = [0]

    def loss(step: int) -> Loss:
        found = net()
        if step == at and met[0] < times:
            met[0] += 1
            return Loss(found * value, found * value)
        return Loss(found, found)

    return loss


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_trouble_goes_back_to_the_last_state_at_half_the_rate(value: float) -> None:
    net = Bowl()
    rows = list(loop(net, loss=troubled(net, 73, value)).run())
    place = next(n for n, row in enumerate(rows) if isinstance(row, Rollback))
    assert rows[place].step == 73
    assert rows[place].rate == 5e-4
    assert "the loss is" in rows[place].cause
    assert [row.step for row in rows[place - 1 : place + 2]] == [72, 73, 51]
    assert rows[place + 1].rate == 5e-4
    # the 23 steps up to the trouble left no trace but in the history
    assert int(net.calls) == 130
    again = [row for row in rows[place + 1 : -1] if isinstance(row, Step)]
    assert [row.step for row in again] == list(range(51, 131))


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    net = Bowl()
    met = []

    def loss(step: int) -> Loss:
        found = net()
        if step == 101 and not met:
            met.append(step)
            return Loss(found * float("inf") - found * float("inf"), found)
        return Loss(found, found)

    rows = list(loop(net, loss=loss).run())
    (returned,) = [row for row in rows if isinstance(row, Rollback)]
    assert (returned.step, returned.cause) == (101, "the gradient is not finite")
    assert all(torch.isfinite(tensor).all() for tensor in tensors_of(net))


def test_a_state_whose_next_loss_is_bad_is_not_kept() -> None:
    net, memory = Bowl(), Memory()
    spoilt = []

    def loss(step: int) -> Loss:
        if step == 51 and not spoilt:  # the step before left weights that are finite, and far too large
            spoilt.append(step)
            net.x.data.fill_(1e9)
        found = net()
        return Loss(found, found)

    rows = list(loop(net, 60, loss=loss, running=Running(keeper=memory)).run())
    place = next(n for n, row in enumerate(rows) if isinstance(row, Rollback))
    assert rows[place].step == 51
    assert rows[place + 1].step == 1


def test_three_returns_to_one_state_are_enough() -> None:
    net = Bowl()
    with pytest.raises(NonFiniteError, match="step 73: the loss is nan, also at a rate of 0.00013"):
        list(loop(net, loss=troubled(net, 73, float("nan"), times=9)).run())


def test_a_kill_between_trouble_and_the_next_state_changes_nothing() -> None:
    def run(stop: int | None, net: Bowl, memory: Memory) -> list[Any]:
        # whatever process makes step 73 at the full rate has the trouble
        steps = loop(net, loss=lambda step: by_rate(net, step), running=Running(keeper=memory))
        running.append(steps)
        found = steps.run()
        if stop is None:
            return list(found)
        taken = [next(found) for _ in range(stop)]
        found.close()
        return taken

    running: list[Loop] = []

    def by_rate(net: Bowl, step: int) -> Loss:
        value = net()
        factor = float("nan") if step == 73 and running[-1]._scale == 1 else 1.0
        return Loss(value * factor, value * factor)

    whole = Bowl()
    expected = run(None, whole, Memory())
    memory, net = Memory(), Bowl()
    run(80, Bowl(), memory)
    assert run(None, net, memory)[:-1] == expected[:-1]
    assert bits(net) == bits(whole)


def test_a_loss_below_the_floor_is_no_trouble() -> None:
    net = Bowl()
    rows = list(loop(net, 5, floor=1e9, loss=troubled(net, 3, 1e4)).run())
    assert not any(isinstance(row, Rollback) for row in rows)


def test_snapshots_are_judged_and_leave_the_training_alone() -> None:
    judged = iter([80.0, 95.0, 90.0])  # the standard error of 95 % of 100 images is 2.18 points

    def judge() -> Evaluation:
        net.calls.fill_(-7)  # what re-estimated batch norms do
        return Evaluation(next(judged), 0.5, 100, 0.5)

    net, plain = Bowl(), Bowl()
    rows = list(loop(net, 9, ends=(3, 6, 9), running=Running(judge=judge)).run())
    list(loop(plain, 9).run())
    assert bits(net) == bits(plain)
    assert [(r.cycle, r.step, r.accuracy) for r in rows if isinstance(r, Snapshot)] == [
        (1, 3, 80.0),
        (2, 6, 95.0),
        (3, 9, 90.0),
    ]
    ended = rows[-1]
    sixth = Bowl()
    list(loop(sixth, 6).run())
    assert ended.step == 6
    assert torch.equal(ended.chosen[0], sixth.x)
    assert torch.equal(ended.last[0], net.x)
    assert int(ended.chosen[1]) == int(ended.last[1]) == -7


@pytest.mark.parametrize(
    ("accuracies", "images", "chosen"),
    [
        ((90.0, 90.0, 90.0), 1000, 3),
        ((80.0, 95.0, 93.0), 100, 3),  # the standard error is 2.18 points
        ((80.0, 95.0, 93.0), 1000, 2),  # 0.69
        ((95.0, 93.0, 91.0), 100, 2),  # of the highest, not of the one chosen before
        ((0.0, 0.0), 10, 2),
        ((100.0, 99.9), 10, 1),
    ],
)
def test_the_latest_within_one_standard_error_is_chosen(accuracies, images, chosen) -> None:
    judged, net, reference = iter(accuracies), Bowl(), Bowl()
    ends = tuple(range(1, len(accuracies) + 1))
    judging = Running(judge=lambda: Evaluation(next(judged), 0.5, images, 0.5))
    ended = list(loop(net, len(ends), ends=ends, running=judging).run())[-1]
    list(loop(reference, chosen).run())
    assert ended.step == chosen
    assert torch.equal(ended.chosen[0], reference.x)


def test_the_average_is_what_snapshots_hold() -> None:
    net, reference = Bowl(), Bowl()
    seen = []
    rows = list(
        loop(
            net, 4, averaging=0.6, ends=(4,), running=Running(judge=lambda: seen.append(net.x.clone()))
        ).run()
    )
    average = torch.ones(4)
    for _ in loop(reference, 4).run():
        if int(reference.calls) <= 4 and _.__class__ is Step:
            average = 0.6 * average + 0.4 * reference.x.detach()
    torch.testing.assert_close(seen[0], average)
    torch.testing.assert_close(rows[-1].last[0], average)
    assert torch.equal(net.x, reference.x)


def test_the_state_of_another_network_is_refused() -> None:
    memory = Memory()
    list(loop(Bowl(), 3, running=Running(keeper=memory)).run())
    other = Bowl()
    other.x = nn.Parameter(torch.ones(5))
    with pytest.raises(RunError, match="of another network or schedule"):
        list(loop(other, 3, running=Running(keeper=memory)).run())


def test_dropout_draws_by_step_and_leaves_the_global_state_alone() -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(len(found))
        before = torch.random.get_rng_state()
        found.append([row.loss for row in loop(Bowl(), 5).run() if isinstance(row, Step)])
        assert torch.equal(torch.random.get_rng_state(), before)
    assert found[0] == found[1]
    assert len(set(found[0])) > 1
