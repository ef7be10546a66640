"""The order of channels within a pixel: what lies side by side is computed at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.packaging.native_steps import Convolve, Network, Step

__all__ = ["LANES", "Layout", "Rearrange", "arrange", "in_lanes", "whole"]

LANES = 8
"""Numbers in a vector, as in kernels.h."""


@dataclass(frozen=True)
class Layout:
    """The channels of a pixel: `planes` stretches of `length` numbers, `stride` apart.

    Attributes:
        interleaved: number n of stretch p is channel ``n * planes + p`` instead of ``p * length + n``.
    """

    planes: int
    length: int
    stride: int
    interleaved: bool = False

    @property
    def pixel(self) -> int:
        """Floats of a pixel."""
        return self.planes * self.stride

    def channels(self) -> NDArray[np.int64]:
        """The channel at each float of a pixel, -1 where there is none.

        Example:
            >>> Layout(2, 3, 4, interleaved=True).channels().tolist()
            [0, 2, 4, -1, 1, 3, 5, -1]
        """
        count = np.arange(self.planes * self.length)
        order = count.reshape(-1, self.planes).T if self.interleaved else count.reshape(self.planes, -1)
        return np.pad(order, ((0, 0), (0, self.stride - self.length)), constant_values=-1).reshape(-1)


@dataclass(frozen=True)
class Rearrange(Step):
    """The same value in another order of channels."""


def whole(number: int, unit: int = LANES) -> int:
    """`number` filled up to a multiple of `unit`.

    Example:
        >>> whole(9), whole(16)
        (16, 16)
    """
    return -(-number // unit) * unit


def in_lanes(step: Convolve) -> bool:
    """Whether groups of a convolution lie side by side in a vector, not the channels of one group."""
    outputs = len(step.weight) // step.groups
    return step.groups > 1 and step.groups / whole(step.groups) >= outputs / whole(outputs)


def arrange(network: Network) -> tuple[Network, dict[str, Layout]]:
    """Choose the layout of each value; where maker and readers do not agree, rearrange."""
    chosen = _Arrangement(network)
    for step in network.steps:
        if isinstance(step, Convolve) and step.groups > 1:
            chosen.add_grouped(step)
        else:
            chosen.steps.append(step)
    return replace(network, steps=tuple(chosen.steps), shapes=chosen.shapes), chosen.layouts


class _Arrangement:
    """Steps with their rearrangements, as far as they are gone through.

    Attributes:
        steps, shapes, layouts: of the network that is made.
    """

    def __init__(self, network: Network) -> None:
        """All values plain at first: channels one after the other, filled up to whole vectors."""
        self.steps: list[Step] = []
        self.shapes = dict(network.shapes)
        self.layouts = {name: _plain(shape[0]) for name, shape in network.shapes.items()}
        self._users, self._answer = network.users(), network.answer
        self._makers = {step.output: step for step in network.steps}
        if all(_takes_all_channels(user) for user in self._users[network.image]):
            channels = network.shapes[network.image][0]
            self.layouts[network.image] = Layout(1, channels, channels)  # numbers are read, not vectors

    def add_grouped(self, step: Convolve) -> None:
        """A convolution in groups, between rearrangements where its neighbours cannot do without."""
        wanted, given = _around(step)
        ready = replace(step, inputs=(self._given_as(wanted, step),))
        if given == self.layouts[step.output] or self._all_read(step.output):
            self.layouts[step.output] = given
            self.steps.append(ready)
            return
        inner = self._new(f"{step.output} of {step.node}", step.output, given)
        self.steps += [replace(ready, output=inner), Rearrange(step.node, (inner,), step.output)]

    def _given_as(self, wanted: Layout, step: Convolve) -> str:
        """The input of a step in the layout that it needs."""
        name = step.inputs[0]
        if wanted == self.layouts[name]:
            return name
        maker = self._makers.get(name)
        alone = len(self._users[name]) == 1 and name != self._answer
        if alone and maker is not None and _takes_all_channels(maker) and len(maker.inputs) == 1:
            self.layouts[name] = wanted  # sums of all channels can be written in any order
            return name
        made = self._new(f"{name} for {step.node}", name, wanted)
        self.steps.append(Rearrange(step.node, (name,), made))
        return made

    def _all_read(self, name: str) -> bool:
        """Whether a value can have any layout for those that read it."""
        users = self._users[name]
        return name != self._answer and all(
            _takes_all_channels(user) and user.inputs[0] == name and name not in user.inputs[1:]
            for user in users
        )

    def _new(self, name: str, like: str, layout: Layout) -> str:
        """A further value."""
        self.shapes[name], self.layouts[name] = self.shapes[like], layout
        return name


def _plain(channels: int) -> Layout:
    """Channels one after the other, filled up to whole vectors."""
    return Layout(1, channels, whole(channels))


def _around(step: Convolve) -> tuple[Layout, Layout]:
    """The layouts that a convolution in groups reads and makes."""
    outputs, inputs = len(step.weight) // step.groups, step.weight.shape[1]
    if in_lanes(step):
        return _side_by_side(step.groups, inputs), _side_by_side(step.groups, outputs)
    full = outputs % LANES == 0
    made = _plain(len(step.weight)) if full else Layout(step.groups, outputs, whole(outputs))
    return _plain(step.groups * inputs), made


def _side_by_side(groups: int, channels: int) -> Layout:
    """Groups one after the other, for each of their channels."""
    return _plain(groups) if channels == 1 else Layout(channels, groups, whole(groups), interleaved=True)


def _takes_all_channels(step: Step) -> bool:
    """Whether a step is a convolution in one group: it reads and writes numbers in any order."""
    return isinstance(step, Convolve) and step.groups == 1
