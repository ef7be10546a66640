"""How the output of a convolution is cut into tiles whose sums stay in registers."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

__all__ = ["Chunk", "chunks", "outputs_at_once", "pixels_at_once"]

_ACCUMULATORS = 12  # of the 16 vector registers of AVX2; the others hold weights and a broadcast input
_MOST_OUTPUTS = 4
_LATENCY = 4.0  # cycles of a fused multiply-add, of which two start in each
_TILE = 0.4  # cycles an input channel that starting a tile costs


class Chunk(NamedTuple):
    """`times` times `vectors` vectors of output channels, each in tiles of `height` x `width` pixels."""

    times: int
    vectors: int
    height: int
    width: int


def chunks(vectors: int, rows: int, cols: int) -> list[Chunk]:
    """The fastest cut by a simple model of a processor: two multiply-adds and two loads a cycle.

    Chunks of one and two vectors are looked at: with more, the compiler runs out of registers, and a network
    of 3x3 convolutions took 1.7 times as long.

    Args:
        vectors: of output channels, at least 1.
        rows: of the output.
        cols: of the output.

    Example:
        >>> chunks(3, 32, 32)
        [Chunk(times=1, vectors=2, height=1, width=4), Chunk(times=1, vectors=1, height=1, width=11)]
    """
    alone, paired = (_tile(size, rows, cols)[0] for size in (1, 2))
    pairs = vectors // 2 if paired <= 2 * alone else 0
    counts = ((pairs, 2), (vectors - 2 * pairs, 1))
    return [Chunk(count, size, *_tile(size, rows, cols)[1]) for count, size in counts if count]


@cache
def _tile(vectors: int, rows: int, cols: int) -> tuple[float, tuple[int, int]]:
    """Cycles for the image and an input channel, and (height, width) of the best tile."""
    found = []
    for width in range(1, min(cols, _ACCUMULATORS // vectors) + 1):
        for height in range(1, min(rows, _ACCUMULATORS // (vectors * width)) + 1 if width == cols else 2):
            across = ((width, cols // width), (cols % width, 1))
            down = ((height, rows // height), (rows % height, 1))
            cycles = sum(m * n * _cycles(h * w, vectors) for h, m in down for w, n in across)
            found.append((cycles, (height, width)))
    return min(found)


def _cycles(pixels: int, vectors: int) -> float:
    """Cycles of a tile and an input channel."""
    if pixels == 0:
        return 0.0
    return max(pixels * vectors / 2, (pixels + vectors) / 2, _LATENCY) + _TILE


def outputs_at_once(outputs: int) -> int:
    """Output channels of a group that share their loads of the input: a divisor of `outputs`.

    Example:
        >>> outputs_at_once(6), outputs_at_once(7)
        (3, 1)
    """
    return max(n for n in range(1, _MOST_OUTPUTS + 1) if outputs % n == 0)


def pixels_at_once(outputs: int, cols: int) -> int:
    """Pixels of a tile of a convolution in groups."""
    return max(1, min(cols, 8 // outputs))
