"""What the C of all steps has in common: functions, weights, places of values, literals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tenfold.packaging.native_layout import Layout
from tenfold.packaging.native_memory import places
from tenfold.packaging.native_steps import Activation, Network, Step, Window

__all__ = ["Writer", "activation", "number", "struct", "window"]

Array = NDArray[np.float32]

_CACHE_LINE = 16  # floats


class Writer:
    """Collects functions and weights; functions with equal bodies are one.

    Attributes:
        network: whose layouts are chosen.
        place: of each value.
        memory: floats that the values take.
        functions: C.
    """

    def __init__(self, network: Network, layouts: dict[str, Layout]) -> None:
        """Nothing is written yet."""
        self.network = network
        self.place, self.memory = places(network, layouts)
        self.functions: list[str] = []
        self._blocks: list[Array] = []
        self._floats = 0
        self._names: dict[str, str] = {}

    def weights(self) -> Array:
        """All that was kept, in one row."""
        return np.concatenate([*self._blocks, np.zeros(_CACHE_LINE, np.float32)])

    def keep(self, array: Array) -> str:
        """Add to the weights; gives a C pointer to them."""
        start = self._floats
        flat = np.ascontiguousarray(array, dtype=np.float32).reshape(-1)
        self._blocks.append(np.pad(flat, (0, -flat.size % _CACHE_LINE)))
        self._floats += self._blocks[-1].size
        return f"weights + {start}"

    def call(self, kind: str, parameters: Sequence[str], body: str, arguments: Sequence[str]) -> str:
        """A call of the function with this body; `parameters` are names, the last of which is written to."""
        *given, made = parameters
        head = ", ".join([*(f"const float *{name}" for name in given), f"float *{made}"])
        if head + body not in self._names:
            name = self._names[head + body] = f"{kind}_{len(self._names)}"
            self.functions.append(f"static void {name}({head}) {{\n{body}}}\n")
        return f"  {self._names[head + body]}({', '.join(arguments)});"

    def simple(self, kind: str, step: Step, *constants: str, weights: tuple[str, ...] = ()) -> str:
        """A call of one of the loops in plain.h with one value in and one out."""
        images = (self.image(step.inputs[0]), self.image(step.output))
        names = ("in", *(f"w{index}" for index in range(len(weights))), "out")
        body = f"  {kind}({', '.join([*images, *constants, *names])});\n"
        return self.call(kind, names, body, [self.at(step.inputs[0]), *weights, self.at(step.output)])

    def copy(self, kind: str, name: str, source: str, target: str) -> str:
        """A call that brings the value `name` in or out, as planes of channels."""
        return self.call(kind, ("in", "out"), f"  {kind}({self.image(name)}, in, out);\n", [source, target])

    def at(self, name: str, further: int = 0) -> str:
        """A C pointer to the first pixel of a value, or some floats after it."""
        return f"memory + {self.place[name].origin + further}"

    def image(self, name: str) -> str:
        """A value as a struct image."""
        layout = self.place[name].layout
        numbers = (layout.planes, layout.length, layout.stride, int(layout.interleaved))
        return struct("image", *self.network.shapes[name], *numbers, self.grid(name))

    def grid(self, name: str | None) -> str:
        """A value as a struct grid; of none all is 0."""
        if name is None:
            return struct("grid", 0, 0)
        return struct("grid", self.place[name].row, self.place[name].layout.pixel)


def struct(name: str, *values: object) -> str:
    """A C literal.

    Example:
        >>> struct("grid", 1, 2)
        '(struct grid){1, 2}'
    """
    return f"(struct {name}){{{', '.join(map(str, values))}}}"


def activation(function: Activation) -> str:
    """A struct activation."""
    return struct("activation", function.function, number(function.a), number(function.b))


def window(w: Window) -> str:
    """A struct window."""
    return struct("window", *w.kernel, *w.strides, *w.dilations)


def number(value: float) -> str:
    """A C literal of the float32 nearest to `value`.

    Example:
        >>> number(0.1)
        '0.10000000149011612f'
    """
    return f"{float(np.float32(value))!r}f"
