"""Where the numbers of a value lie: the order of channels within a pixel, margins, and the one stretch of memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.packaging.native_steps import Convolve, Network, Shape, Step

__all__ = ["LANES", "Layout", "Place", "Rearrange", "arrange", "in_lanes", "places", "plain"]

LANES = 8
"""Numbers in a vector, as in kernels.h."""

_CACHE_LINE = 16  # floats


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
        order = np.arange(self.planes * self.length)
        order = order.reshape(-1, self.planes).T if self.interleaved else order.reshape(self.planes, -1)
        return np.pad(order, ((0, 0), (0, self.stride - self.length)), constant_values=-1).reshape(-1)


@dataclass(frozen=True)
class Rearrange(Step):
    """The same value in another order of channels."""


@dataclass(frozen=True)
class Place:
    """Where a value lies: floats from the start of the memory to its first pixel, and from row to row."""

    layout: Layout
    origin: int
    row: int


def plain(channels: int) -> Layout:
    """Channels one after the other, filled up to whole vectors."""
    return Layout(1, channels, _whole(channels))


def in_lanes(step: Convolve) -> bool:
    """Whether the groups of a convolution lie side by side in a vector, rather than the channels of one group."""
    outputs = len(step.weight) // step.groups
    return step.groups > 1 and step.groups / _whole(step.groups) >= outputs / _whole(outputs)


def arrange(network: Network) -> tuple[Network, dict[str, Layout]]:
    """Choose the layout of each value, with a rearrangement where what makes it and what reads it do not agree."""
    layouts = {name: plain(shape[0]) for name, shape in network.shapes.items()}
    users = network.users()
    if all(isinstance(user, Convolve) and user.groups == 1 for user in users[network.image]):
        channels = network.shapes[network.image][0]
        layouts[network.image] = Layout(1, channels, channels)  # single numbers are read, not vectors
    makers = {step.output: step for step in network.steps}
    shapes = dict(network.shapes)
    steps: list[Step] = []
    for step in network.steps:
        if not isinstance(step, Convolve) or step.groups == 1:
            steps.append(step)
            continue
        wanted, given = _around(step)
        source, target = step.inputs[0], step.output
        if wanted != layouts[source]:
            maker = makers.get(source)
            if _is_dense(maker) and len(users[source]) == 1 and source != network.answer:
                layouts[source] = wanted
            else:
                source = f"{source} for {step.node}"
                steps.append(Rearrange(step.node, step.inputs[:1], source))
                shapes[source], layouts[source] = shapes[step.inputs[0]], wanted
        reads_any = all(_reads(user, target) for user in users[target]) and target != network.answer
        if given != layouts[target] and not reads_any:
            inner = f"{target} of {step.node}"
            shapes[inner], layouts[inner] = shapes[target], given
            steps.append(replace(step, inputs=(source,), output=inner))
            steps.append(Rearrange(step.node, (inner,), target))
        else:
            layouts[target] = given
            steps.append(replace(step, inputs=(source,)))
    return replace(network, steps=tuple(steps), shapes=shapes), layouts


def _around(step: Convolve) -> tuple[Layout, Layout]:
    """The layouts that a convolution in groups reads and makes."""
    outputs, inputs = len(step.weight) // step.groups, step.weight.shape[1]
    if in_lanes(step):
        return _side_by_side(step.groups, inputs), _side_by_side(step.groups, outputs)
    made = plain(len(step.weight)) if outputs % LANES == 0 else Layout(step.groups, outputs, _whole(outputs))
    return plain(step.groups * inputs), made


def _side_by_side(groups: int, channels: int) -> Layout:
    """Groups one after the other, for each of their channels."""
    return plain(groups) if channels == 1 else Layout(channels, groups, _whole(groups), interleaved=True)


def _is_dense(step: Step | None) -> bool:
    """Whether a step can write any layout."""
    return isinstance(step, Convolve) and step.groups == 1 and step.residual is None


def _reads(step: Step, name: str) -> bool:
    """Whether a step can read `name` in any layout."""
    return (
        isinstance(step, Convolve) and step.groups == 1 and step.inputs[0] == name and step.residual != name
    )


def places(network: Network, layouts: dict[str, Layout]) -> tuple[dict[str, Place], int]:
    """Put each value somewhere in one stretch of memory, which is zero at first.

    Values share room with those of the same form alone, so that the margins, which nothing writes, stay zero.

    Returns:
        The places, and the floats needed in all.
    """
    last = _last_uses(network)
    free: dict[tuple[object, ...], list[int]] = {}
    found: dict[str, Place] = {}
    starts: dict[str, int] = {}
    end = 0
    forms = {name: _form(network, name, layouts[name]) for name in network.shapes}
    for number, names in enumerate([(network.image,), *((step.output,) for step in network.steps)]):
        for name in names:
            form = forms[name]
            if free.get(form.key):
                starts[name] = free[form.key].pop()
            else:
                starts[name], end = end, end + _whole(form.floats, _CACHE_LINE)
            found[name] = Place(layouts[name], starts[name] + form.before, form.row)
        for name in [name for name, use in last.items() if use == number]:
            free.setdefault(forms[name].key, []).append(starts[name])
    return found, end


@dataclass(frozen=True)
class _Form:
    """Floats in all, before the first pixel, and from row to row."""

    floats: int
    before: int
    row: int
    key: tuple[object, ...]


def _form(network: Network, name: str, layout: Layout) -> _Form:
    """The room that a value takes with its margins: the largest pads of the convolutions that read it."""
    windows = [
        user.window for user in network.users()[name] if isinstance(user, Convolve) and user.inputs[0] == name
    ]
    top, left, bottom, right = (max((w.pads[side] for w in windows), default=0) for side in range(4))
    _, height, width = network.shapes[name]
    row = (left + width + right) * layout.pixel
    floats = (top + height + bottom) * row
    margins = (top, left, bottom, right)
    key: tuple[object, ...] = (height, width, layout.pixel, margins) if any(margins) else (floats,)
    return _Form(floats, top * row + left * layout.pixel, row, key)


def _last_uses(network: Network) -> dict[str, int]:
    """The number of the step, from 1, after which each value is no longer needed."""
    last = {network.image: 0} | {step.output: n for n, step in enumerate(network.steps, start=1)}
    for number, step in enumerate(network.steps, start=1):
        last |= dict.fromkeys(step.inputs, number)
    last[network.answer] = len(network.steps) + 1
    return last


def _whole(number: int, unit: int = LANES) -> int:
    """`number` filled up to a multiple of `unit`."""
    return -(-number // unit) * unit
