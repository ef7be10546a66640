"""Convolutions in C: weights as they are read, loops cut so that sums stay in registers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tenfold.packaging.native_layout import LANES, Layout, in_lanes, whole
from tenfold.packaging.native_steps import Convolve
from tenfold.packaging.native_tiles import Chunk, chunks, outputs_at_once, pixels_at_once
from tenfold.packaging.native_writer import Writer, activation, struct, window

__all__ = ["convolve"]

Array = NDArray[np.float32]


def convolve(writer: Writer, step: Convolve) -> list[str]:
    """The calls of a convolution: one, or one a group."""
    given, made = writer.place[step.inputs[0]].layout, writer.place[step.output].layout
    if step.groups == 1:
        return [_dense(writer, step, step.weight, step.bias, (given, made), (0, 0))]
    if in_lanes(step):
        return [_lanes(writer, step)]
    outputs, inputs = len(step.weight) // step.groups, step.weight.shape[1]
    layouts = Layout(1, inputs, given.stride), Layout(1, outputs, whole(outputs))
    pieces = zip(np.split(step.weight, step.groups), np.split(step.bias, step.groups), strict=True)
    return [
        _dense(writer, step, weight, bias, layouts, (group * inputs, group * layouts[1].pixel))
        for group, (weight, bias) in enumerate(pieces)
    ]


def _dense(
    writer: Writer,
    step: Convolve,
    weight: Array,
    bias: Array,
    layouts: tuple[Layout, Layout],
    offsets: tuple[int, int],
) -> str:
    """All input channels of a group to all its output channels; `offsets` in input and output."""
    given, made = layouts
    _, rows, cols = writer.network.shapes[step.output]
    cuts = chunks(made.pixel // LANES, rows, cols)
    order = made.channels()
    residual = step.residual
    body = _dense_struct(writer, step, given) + _dense_chunks(cuts, weight, given, residual is not None)
    arguments = [
        _first_point(writer, step, offsets[0]),
        writer.keep(_in_chunks(_in_reading_order(weight, given, made), cuts)),
        writer.keep(np.where(order < 0, 0, bias[order])),
        "memory" if residual is None else writer.at(residual),
        writer.at(step.output, offsets[1]),
    ]
    return writer.call("dense", ("in", "w", "bias", "residual", "out"), body, arguments)


def _dense_struct(writer: Writer, step: Convolve, given: Layout) -> str:
    """What the loops of all chunks share."""
    _, rows, cols = writer.network.shapes[step.output]
    fields = (
        rows,
        cols,
        window(step.window),
        struct("channels", given.planes, given.length, given.stride),
        *(writer.grid(name) for name in (step.inputs[0], step.output, step.residual)),
        activation(step.activation),
    )
    return f"  const struct dense d = {{{', '.join(map(str, fields))}}};\n"


def _dense_chunks(cuts: list[Chunk], weight: Array, given: Layout, added: bool) -> str:
    """A loop for each kind of chunk."""
    lines, channel = [], 0
    points = given.planes * given.length * weight.shape[2] * weight.shape[3]
    for cut in cuts:
        numbers = f"{cut.times}, {cut.height}, {cut.width}, {cut.vectors}"
        lines.append(
            f"  dense(d, {numbers}, in, w + {points * channel}, bias + {channel}, "
            f"residual + {channel if added else 0}, out + {channel});\n"
        )
        channel += cut.times * cut.vectors * LANES
    return "".join(lines)


def _in_reading_order(weight: Array, given: Layout, made: Layout) -> Array:
    """Weights as (points of the window, input channels as they are read, floats of an output pixel)."""
    read, written = given.channels(), made.channels()
    found = weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[1], len(weight))
    found = found[:, read[read >= 0]][..., written]
    found[..., written < 0] = 0
    return found


def _in_chunks(weight: Array, cuts: list[Chunk]) -> Array:
    """The same, chunk by chunk."""
    sizes = [cut.vectors * LANES for cut in cuts for _ in range(cut.times)]
    return np.concatenate([block.reshape(-1) for block in np.split(weight, np.cumsum(sizes)[:-1], axis=-1)])


def _first_point(writer: Writer, step: Convolve, channel: int = 0) -> str:
    """A C pointer to what the first pixel of the output reads first: it may lie in the margin."""
    place, (top, left, _, _) = writer.place[step.inputs[0]], step.window.pads
    return writer.at(step.inputs[0], channel - top * place.row - left * place.layout.pixel)


def _lanes(writer: Writer, step: Convolve) -> str:
    """Groups side by side."""
    source, target = step.inputs[0], step.output
    outputs, inputs = len(step.weight) // step.groups, step.weight.shape[1]
    _, rows, cols = writer.network.shapes[target]
    at_once = outputs_at_once(outputs)
    fields = (
        *(rows, cols, window(step.window), inputs, outputs, whole(step.groups) // LANES),
        *(writer.grid(name) for name in (source, target)),
        *(writer.place[name].layout.stride for name in (source, target)),
        activation(step.activation),
    )
    body = (
        f"  const struct lanes g = {{{', '.join(map(str, fields))}}};\n"
        f"  lanes(g, {outputs // at_once}, {pixels_at_once(at_once, cols)}, {at_once}, in, w, bias, out);\n"
    )
    weight, bias = _side_by_side(step, at_once)
    arguments = [_first_point(writer, step), writer.keep(weight), writer.keep(bias), writer.at(target)]
    return writer.call("lanes", ("in", "w", "bias", "out"), body, arguments)


def _side_by_side(step: Convolve, at_once: int) -> tuple[Array, Array]:
    """Weights as (vector, block, input, point, output of the block, lane), and biases as (output, group)."""
    outputs, inputs = len(step.weight) // step.groups, step.weight.shape[1]
    spare = (0, whole(step.groups) - step.groups)
    weight = step.weight.reshape(step.groups, outputs // at_once, at_once, inputs, -1)
    weight = np.pad(weight, (spare, *[(0, 0)] * 4)).reshape(-1, LANES, *weight.shape[1:])
    bias = np.pad(step.bias.reshape(step.groups, outputs), (spare, (0, 0)))
    return weight.transpose(0, 2, 4, 5, 3, 1), bias.T
