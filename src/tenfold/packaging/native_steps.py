"""What a network does step by step, as the native package computes it: one image, no batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NONE",
    "Activate",
    "Activation",
    "Affine",
    "Combine",
    "Concat",
    "Convolve",
    "Flatten",
    "Network",
    "Pool",
    "Shape",
    "Softmax",
    "Step",
    "Take",
    "Window",
]

Array = NDArray[np.float32]
Shape = tuple[int, int, int]
"""Channels, height, width; of a vector (n, 1, 1)."""


@dataclass(frozen=True)
class Activation:
    """A function of one number, `a` and `b` as in its ONNX operator."""

    function: str
    a: float = 0.0
    b: float = 0.0


NONE = Activation("NONE")


@dataclass(frozen=True)
class Window:
    """What moves over an image: each pair is (height, width); `pads` are top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Step:
    """One operation: `node` is what the ONNX file calls it."""

    node: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Convolve(Step):
    """A convolution, what is added to it (a second input) and the function after it.

    Attributes:
        weight: (out, in / groups, kh, kw).
        bias: (out,).
    """

    weight: Array
    bias: Array
    window: Window
    groups: int = 1
    activation: Activation = NONE

    @property
    def residual(self) -> str | None:
        """The value that is added before the activation."""
        return self.inputs[1] if len(self.inputs) > 1 else None


@dataclass(frozen=True)
class Activate(Step):
    """A function of every number."""

    activation: Activation


@dataclass(frozen=True)
class Affine(Step):
    """Every channel times `scale` plus `shift`, both (channels,)."""

    scale: Array
    shift: Array
    activation: Activation = NONE


@dataclass(frozen=True)
class Combine(Step):
    """Two values number by number: ADD, SUB, MUL or DIV; one of them may have one pixel for all."""

    operation: str
    activation: Activation = NONE


@dataclass(frozen=True)
class Pool(Step):
    """The largest (MAX) or the mean (MEAN) under a window; `counts_pads`: zeros outside count in the mean."""

    kind: str
    window: Window
    counts_pads: bool = False


@dataclass(frozen=True)
class Take(Step):
    """Channel, row and column ``start + step * n`` for each n in ``low <= n < high``, else `fill`."""

    start: tuple[int, int, int]
    step: tuple[int, int, int]
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    fill: float = 0.0


@dataclass(frozen=True)
class Concat(Step):
    """Channels of all inputs, one after the other."""


@dataclass(frozen=True)
class Flatten(Step):
    """All numbers as channels of one pixel, channel by channel."""


@dataclass(frozen=True)
class Softmax(Step):
    """Over the channels of each pixel."""


@dataclass(frozen=True)
class Network:
    """Steps in an order in which they can run.

    Attributes:
        shapes: of every value.
    """

    image: str
    answer: str
    steps: tuple[Step, ...]
    shapes: dict[str, Shape]

    def users(self) -> dict[str, list[Step]]:
        """The steps that read each value."""
        found: dict[str, list[Step]] = {name: [] for name in self.shapes}
        for step in self.steps:
            for name in dict.fromkeys(step.inputs):
                found[name].append(step)
        return found

    def with_steps(self, steps: list[Step]) -> Network:
        """The same network, computed by `steps`."""
        kept = [self.image, *(step.output for step in steps)]
        return replace(self, steps=tuple(steps), shapes={name: self.shapes[name] for name in kept})
