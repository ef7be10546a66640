"""Steps that are computed together: what follows a convolution is cheap while its sums are in registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tenfold.packaging.native_steps import (
    NONE,
    Activate,
    Affine,
    Combine,
    Convolve,
    Flatten,
    Network,
    Shape,
    Step,
    Take,
    Window,
)

__all__ = ["fuse"]

Rule = Callable[[Step, Step, Mapping[str, Shape]], Step | None]


def fuse(network: Network) -> Network:
    """The same function in fewer steps.

    A flattening goes into the matrix after it, which becomes a convolution over the whole image; an addition
    and a function go into the convolution before them; parts of parts of a value are taken at once.
    """
    for rule in (_take_of_take, _matrix_of_flat, _residual, _activation):
        network = _merged(network, rule)
    return network


def _merged(network: Network, rule: Rule) -> Network:
    """Merge each step into the one that alone reads it, where `rule` knows how."""
    users = network.users()
    made: dict[str, Step] = {}
    for read in network.steps:
        step = read
        for name in reversed(read.inputs):
            first = made.get(name)
            if first is None or len(users[name]) != 1 or name == network.answer:
                continue
            merged = rule(first, step, network.shapes)
            if merged is not None:
                del made[name]
                step = merged
                break
        made[step.output] = step
    return network.with_steps(list(made.values()))


def _take_of_take(first: Step, second: Step, shapes: Mapping[str, Shape]) -> Step | None:
    """A part of a part."""
    if not (isinstance(first, Take) and isinstance(second, Take)):
        return None
    if first.low != (0, 0, 0) or first.high != shapes[first.output]:
        return None  # it adds a margin of its own
    starts = [s + t * inner for s, t, inner in zip(first.start, first.step, second.start, strict=True)]
    steps = [t * inner for t, inner in zip(first.step, second.step, strict=True)]
    return replace(
        second,
        inputs=first.inputs,
        start=(starts[0], starts[1], starts[2]),
        step=(steps[0], steps[1], steps[2]),
    )


def _matrix_of_flat(first: Step, second: Step, shapes: Mapping[str, Shape]) -> Step | None:
    """A matrix times all numbers of an image is a convolution with one position."""
    if not (isinstance(first, Flatten) and isinstance(second, Convolve)):
        return None
    channels, height, width = shapes[first.inputs[0]]
    weight = second.weight.reshape(-1, channels, height, width)
    return replace(second, inputs=first.inputs, weight=weight, window=Window((height, width)))


def _residual(first: Step, second: Step, shapes: Mapping[str, Shape]) -> Step | None:
    """A value that is added to the sums of a convolution."""
    if not (isinstance(first, Convolve) and isinstance(second, Combine)) or first.groups != 1:
        return None
    other = [name for name in second.inputs if name != first.output]
    fits = second.operation == "ADD" and second.activation == first.activation == NONE
    if not fits or first.residual or len(other) != 1 or shapes[other[0]] != shapes[first.output]:
        return None
    return replace(first, node=second.node, inputs=(first.inputs[0], other[0]), output=second.output)


def _activation(first: Step, second: Step, _shapes: Mapping[str, Shape]) -> Step | None:
    """A function of every number that a step makes."""
    if not isinstance(second, Activate) or not isinstance(first, Convolve | Affine | Combine):
        return None
    if first.activation != NONE:
        return None
    return replace(first, output=second.output, activation=second.activation)
