"""The C of a network: functions for each kind of loop, a call for each step, weights as they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.packaging.native_convolutions import convolve
from tenfold.packaging.native_layout import Rearrange, arrange
from tenfold.packaging.native_steps import (
    Activate,
    Affine,
    Combine,
    Concat,
    Convolve,
    Flatten,
    Network,
    Pool,
    Softmax,
    Step,
    Take,
)
from tenfold.packaging.native_writer import Writer, activation, number, struct, window

__all__ = ["Source", "source"]


@dataclass(frozen=True)
class Source:
    """The parts of the C file.

    Attributes:
        functions: one for each kind of loop.
        calls: statements, from ``image`` to ``answer``, with ``weights`` and ``memory``.
        weights: all of them, in one row.
        memory: floats that the values take; zeros at first.
    """

    functions: str
    calls: str
    weights: NDArray[np.float32]
    memory: int


def source(network: Network) -> Source:
    """The loops of `network`, whose steps are fused already."""
    writer = Writer(*arrange(network))
    calls = [
        writer.copy("from_planes", network.image, "image", writer.at(network.image)),
        *(call for step in writer.network.steps for call in _WRITE[type(step)](writer, step)),
        writer.copy("to_planes", network.answer, writer.at(network.answer), "answer"),
    ]
    return Source("\n".join(writer.functions), "\n".join(calls), writer.weights(), writer.memory)


def _pool(writer: Writer, step: Pool) -> list[str]:
    top, left, _, _ = step.window.pads
    counted = step.window.kernel[0] * step.window.kernel[1] if step.counts_pads else 0
    numbers = (top, left, int(step.kind == "MAX"), counted)
    return [writer.simple("pool", step, window(step.window), *map(str, numbers))]


def _affine(writer: Writer, step: Affine) -> list[str]:
    layout = writer.place[step.output].layout
    spare = (0, layout.stride - layout.length)
    weights = (writer.keep(np.pad(step.scale, spare)), writer.keep(np.pad(step.shift, spare)))
    return [writer.simple("affine", step, activation(step.activation), weights=weights)]


def _activate(writer: Writer, step: Activate) -> list[str]:
    return [writer.simple("each", step, activation(step.activation))]


def _combine(writer: Writer, step: Combine) -> list[str]:
    names = (*step.inputs, step.output)
    constants = (*map(writer.image, names), step.operation, activation(step.activation))
    body = f"  combine({', '.join(constants)}, a, b, out);\n"
    return [writer.call("combine", ("a", "b", "out"), body, list(map(writer.at, names)))]


def _take(writer: Writer, step: Take) -> list[str]:
    axes = [struct("axis", *n) for n in zip(step.start, step.step, step.low, step.high, strict=True)]
    return [writer.simple("take", step, *axes, number(step.fill))]


def _concat(writer: Writer, step: Concat) -> list[str]:
    calls, first = [], 0
    for name in step.inputs:
        body = f"  append({writer.image(name)}, {writer.image(step.output)}, {first}, in, out);\n"
        calls.append(writer.call("append", ("in", "out"), body, [writer.at(name), writer.at(step.output)]))
        first += writer.network.shapes[name][0]
    return calls


def _flatten(writer: Writer, step: Flatten) -> list[str]:
    return [writer.copy("to_planes", step.inputs[0], writer.at(step.inputs[0]), writer.at(step.output))]


_WRITE: dict[type[Step], Callable[[Writer, Any], list[str]]] = {
    Activate: _activate,
    Affine: _affine,
    Combine: _combine,
    Concat: _concat,
    Convolve: convolve,
    Flatten: _flatten,
    Pool: _pool,
    Rearrange: lambda writer, step: [writer.simple("rearrange", step)],
    Softmax: lambda writer, step: [writer.simple("softmax", step)],
    Take: _take,
}
