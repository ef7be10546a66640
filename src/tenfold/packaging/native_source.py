"""The C source of a network: its weights in the order in which they are read, and a loop for each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.packaging.native_layout import LANES, Layout, Place, Rearrange, arrange, in_lanes, places
from tenfold.packaging.native_steps import (
    Activate,
    Activation,
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
    Window,
)
from tenfold.packaging.native_tiles import chunks, outputs_at_once, pixels_at_once

__all__ = ["Source", "source"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """What becomes the file.

    Attributes:
        functions: C, one for each kind of loop.
        calls: C statements, one a step.
        weights: all of them, float32.
        memory: floats that activations take.
    """

    functions: str
    calls: str
    weights: Array
    memory: int


def source(network: Network) -> Source:
    """The loops of `network`, whose steps are fused already."""
    writer = _Writer(*arrange(network))
    calls = [
        writer.copy("from_planes", network.image, "image", f"memory + {writer.place[network.image].origin}")
    ]
    calls += [call for step in writer.network.steps for call in writer.step(step)]
    calls.append(
        writer.copy("to_planes", network.answer, f"memory + {writer.place[network.answer].origin}", "answer")
    )
    weights = np.concatenate(writer.weights) if writer.weights else np.zeros(1, np.float32)
    return Source("\n".join(writer.functions), "\n".join(calls), weights, writer.memory)


class _Writer:
    """Collects functions and weights; functions with equal bodies are one."""

    def __init__(self, network: Network, layouts: dict[str, Layout]) -> None:
        """For a network whose layouts are chosen."""
        self.network = network
        self.place, self.memory = places(network, layouts)
        self.functions: list[str] = []
        self.weights: list[Array] = []
        self._names: dict[str, str] = {}
        self._floats = 0

    def step(self, step: Step) -> list[str]:
        """The calls of a step."""
        return _STEPS[type(step)](self, step)

    def keep(self, array: Array) -> str:
        """Add to the weights; gives a C pointer to them."""
        start = self._floats
        flat = np.ascontiguousarray(array, dtype=np.float32).reshape(-1)
        flat = np.pad(flat, (0, -flat.size % 16))
        self.weights.append(flat)
        self._floats += flat.size
        return f"weights + {start}"

    def at(self, name: str) -> str:
        """A C pointer to the first pixel of a value."""
        return f"memory + {self.place[name].origin}"

    def call(self, kind: str, parameters: str, body: str, arguments: list[str]) -> str:
        """A call of the function with this body."""
        key = parameters + body
        if key not in self._names:
            self._names[key] = f"{kind}_{len(self._names)}"
            self.functions.append(f"static void {self._names[key]}({parameters}) {{\n{body}}}\n")
        return f"  {self._names[key]}({', '.join(arguments)});"

    def copy(self, kind: str, name: str, source: str, target: str) -> str:
        """A call that brings a value in or out."""
        body = f"  {kind}({self.image(name)}, in, out);\n"
        return self.call(kind, "const float *in, float *out", body, [source, target])

    def image(self, name: str) -> str:
        """A struct image."""
        (channels, rows, cols), place = self.network.shapes[name], self.place[name]
        layout = place.layout
        numbers = (channels, rows, cols, layout.planes, layout.length, layout.stride, int(layout.interleaved))
        return f"(struct image){{{', '.join(map(str, numbers))}, {self.grid(name)}}}"

    def grid(self, name: str) -> str:
        """A struct grid."""
        place = self.place[name]
        return f"{{{place.row}, {place.layout.pixel}}}"

    def simple(self, kind: str, step: Step, *constants: str, weights: tuple[str, ...] = ()) -> str:
        """A call of one of the loops in plain.h with one input."""
        images = f"{self.image(step.inputs[0])}, {self.image(step.output)}"
        names = ["in", *(f"w{n}" for n in range(len(weights))), "out"]
        body = f"  {kind}({', '.join([images, *constants, *names])});\n"
        parameters = ", ".join([*(f"const float *{name}" for name in names[:-1]), "float *out"])
        return self.call(kind, parameters, body, [self.at(step.inputs[0]), *weights, self.at(step.output)])


def _activation(a: Activation) -> str:
    return f"(struct activation){{{a.function}, {_number(a.a)}, {_number(a.b)}}}"


def _number(value: float) -> str:
    """A C literal of the float32 nearest to `value`."""
    return f"{float(np.float32(value))!r}f"


def _window(w: Window) -> str:
    numbers = (*w.kernel, *w.strides, *w.dilations)
    return f"(struct window){{{', '.join(map(str, numbers))}}}"


def _convolve(writer: _Writer, step: Convolve) -> list[str]:
    """One call, or one a group."""
    if step.groups == 1:
        return [_dense(writer, step, step.weight, step.bias, 0)]
    if in_lanes(step):
        return [_lanes(writer, step)]
    outputs = len(step.weight) // step.groups
    return [
        _dense(
            writer, step, step.weight[g * outputs : (g + 1) * outputs], step.bias[g * outputs :][:outputs], g
        )
        for g in range(step.groups)
    ]


def _first_point(writer: _Writer, step: Convolve, channel: int = 0) -> str:
    """A C pointer to what the first pixel of the output reads first."""
    place, (top, left, _, _) = writer.place[step.inputs[0]], step.window.pads
    return f"memory + {place.origin - top * place.row - left * place.layout.pixel + channel}"


def _dense(writer: _Writer, step: Convolve, weight: Array, bias: Array, group: int) -> str:
    """All input channels of a group to all its output channels."""
    source, target = writer.place[step.inputs[0]], writer.place[step.output]
    given, made = source.layout, target.layout
    inputs, outputs = weight.shape[1], len(weight)
    if step.groups > 1:  # the channels of a group alone
        given, made = Layout(1, inputs, given.stride), Layout(1, outputs, -(-outputs // LANES) * LANES)
    _, rows, cols = writer.network.shapes[step.output]
    cuts = chunks(made.pixel // LANES, rows, cols)
    packed = _packed(weight, given, made)  # (points, inputs, floats of a pixel)
    order = made.channels()
    biases = np.where(order < 0, 0, bias[order])
    residual = step.residual
    struct = (
        f"  const struct dense d = {{{rows}, {cols}, {_window(step.window)}, "
        f"{{{given.planes}, {given.length}, {given.stride}}}, {writer.grid(step.inputs[0])}, "
        f"{writer.grid(step.output)}, {writer.grid(residual) if residual else '{0, 0}'}, "
        f"{_activation(step.activation)}}};\n"
    )
    blocks, lines, channel, floats = [], [], 0, 0
    for count, vectors, height, width in cuts:
        lines.append(
            f"  dense(d, {count}, {height}, {width}, {vectors}, in, w + {floats}, bias + {channel}, "
            f"residual + {channel if residual else 0}, out + {channel});\n"
        )
        for _ in range(count):
            blocks.append(packed[..., channel : channel + vectors * LANES].reshape(-1))
            channel += vectors * LANES
            floats += blocks[-1].size
    parameters = "const float *in, const float *w, const float *bias, const float *residual, float *out"
    arguments = [
        _first_point(writer, step, group * inputs),
        writer.keep(np.concatenate(blocks)),
        writer.keep(biases),
        writer.at(residual) if residual else "weights",
        f"memory + {target.origin + group * made.pixel}",
    ]
    return writer.call("dense", parameters, struct + "".join(lines), arguments)


def _packed(weight: Array, given: Layout, made: Layout) -> Array:
    """Weights as (points of the window, input channels in the order of reading, floats of an output pixel)."""
    read = given.channels()
    columns = made.channels()
    found = weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[1], len(weight))
    found = found[:, read[read >= 0]][..., columns]
    found[..., columns < 0] = 0
    return found


def _lanes(writer: _Writer, step: Convolve) -> str:
    """Groups side by side."""
    source, target = writer.place[step.inputs[0]], writer.place[step.output]
    outputs, inputs = len(step.weight) // step.groups, step.weight.shape[1]
    vectors = -(-step.groups // LANES)
    _, rows, cols = writer.network.shapes[step.output]
    at_once = outputs_at_once(outputs)
    blocks, width = outputs // at_once, pixels_at_once(at_once, cols)
    spare = vectors * LANES - step.groups
    weight = step.weight.reshape(vectors * 0 + step.groups, blocks, at_once, inputs, -1)
    weight = np.pad(weight, ((0, spare), *[(0, 0)] * 4)).reshape(vectors, LANES, blocks, at_once, inputs, -1)
    bias = np.pad(step.bias.reshape(step.groups, outputs), ((0, spare), (0, 0))).T
    body = (
        f"  const struct lanes g = {{{rows}, {cols}, {_window(step.window)}, {inputs}, {outputs}, {vectors}, "
        f"{writer.grid(step.inputs[0])}, {writer.grid(step.output)}, {source.layout.stride}, "
        f"{target.layout.stride}, {_activation(step.activation)}}};\n"
        f"  lanes(g, {blocks}, {width}, {at_once}, in, w, bias, out);\n"
    )
    arguments = [
        _first_point(writer, step),
        writer.keep(weight.transpose(0, 2, 4, 5, 3, 1)),  # vector, block, input, point, output, lane
        writer.keep(bias),
        writer.at(step.output),
    ]
    return writer.call(
        "lanes", "const float *in, const float *w, const float *bias, float *out", body, arguments
    )


def _pool(writer: _Writer, step: Pool) -> list[str]:
    top, left, _, _ = step.window.pads
    counted = step.window.kernel[0] * step.window.kernel[1] if step.counts_pads else 0
    numbers = (top, left, int(step.kind == "MAX"), counted)
    return [writer.simple("pool", step, _window(step.window), *map(str, numbers))]


def _affine(writer: _Writer, step: Affine) -> list[str]:
    spare = (0, -len(step.scale) % LANES)
    weights = writer.keep(np.pad(step.scale, spare)), writer.keep(np.pad(step.shift, spare))
    return [writer.simple("affine", step, _activation(step.activation), weights=weights)]


def _activate(writer: _Writer, step: Activate) -> list[str]:
    return [writer.simple("each", step, _activation(step.activation))]


def _combine(writer: _Writer, step: Combine) -> list[str]:
    images = ", ".join(writer.image(name) for name in (*step.inputs, step.output))
    body = f"  combine({images}, {step.operation}, {_activation(step.activation)}, a, b, out);\n"
    pointers = [writer.at(name) for name in (*step.inputs, step.output)]
    return [writer.call("combine", "const float *a, const float *b, float *out", body, pointers)]


def _take(writer: _Writer, step: Take) -> list[str]:
    axes = [
        f"(struct axis){{{', '.join(map(str, numbers))}}}"
        for numbers in zip(step.start, step.step, step.low, step.high, strict=True)
    ]
    return [writer.simple("take", step, *axes, _number(step.fill))]


def _concat(writer: _Writer, step: Concat) -> list[str]:
    calls, first = [], 0
    for name in step.inputs:
        images = f"{writer.image(name)}, {writer.image(step.output)}"
        body = f"  append({images}, {first}, in, out);\n"
        calls.append(
            writer.call(
                "append", "const float *in, float *out", body, [writer.at(name), writer.at(step.output)]
            )
        )
        first += writer.network.shapes[name][0]
    return calls


def _flatten(writer: _Writer, step: Flatten) -> list[str]:
    return [writer.copy("flatten", step.inputs[0], writer.at(step.inputs[0]), writer.at(step.output))]


_STEPS: dict[type[Step], Callable[[_Writer, Any], list[str]]] = {
    Activate: _activate,
    Affine: _affine,
    Combine: _combine,
    Concat: _concat,
    Convolve: _convolve,
    Flatten: _flatten,
    Pool: _pool,
    Rearrange: lambda writer, step: [writer.simple("rearrange", step)],
    Softmax: lambda writer, step: [writer.simple("softmax", step)],
    Take: _take,
}
