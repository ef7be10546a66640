"""How the output of a convolution is cut into tiles whose sums stay in registers."""

from __future__ import annotations

from functools import cache

__all__ = ["Chunks", "chunks", "outputs_at_once", "pixels_at_once"]

Chunks = tuple[int, int, int, int]
"""`count` chunks of `vectors` vectors of channels, in tiles of `height` x `width` pixels."""

_ACCUMULATORS = 12  # of the 16 vector registers of AVX2; the others hold weights and a broadcast input
_MOST_VECTORS = 2  # with three and more, compilers spill
_LATENCY = 4.0  # cycles of a fused multiply-add, of which two start in each
_TILE = 0.4  # cycles an input channel that starting a tile costs


def chunks(vectors: int, rows: int, cols: int) -> list[Chunks]:
    """The fastest cut by a simple model of a processor: two multiply-adds and two loads a cycle.

    Args:
        vectors: of output channels, at least 1.
        rows, cols: of the output.

    Example:
        >>> chunks(3, 32, 32)
        [(1, 3, 1, 4)]
    """
    sizes = sorted(_cut(vectors, rows, cols)[1], reverse=True)
    return [(sizes.count(n), n, *_tile(n, rows, cols)[1]) for n in dict.fromkeys(sizes)]


@cache
def _cut(vectors: int, rows: int, cols: int) -> tuple[float, tuple[int, ...]]:
    """Cycles and sizes of the best chunks."""
    if vectors == 0:
        return 0.0, ()
    found = []
    for size in range(1, min(_MOST_VECTORS, vectors) + 1):
        rest, sizes = _cut(vectors - size, rows, cols)
        found.append((rest + _tile(size, rows, cols)[0], (size, *sizes)))
    return min(found)


@cache
def _tile(vectors: int, rows: int, cols: int) -> tuple[float, tuple[int, int]]:
    """Cycles for the image and an input channel, and (height, width) of the best tile."""
    found = []
    for width in range(1, min(cols, _ACCUMULATORS // vectors) + 1):
        for height in range(1, min(rows, _ACCUMULATORS // (vectors * width)) + 1 if width == cols else 2):
            across = [(width, cols // width), (cols % width, 1)]
            down = [(height, rows // height), (rows % height, 1)]
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
    return max(n for n in range(1, 5) if outputs % n == 0)


def pixels_at_once(outputs: int, cols: int) -> int:
    """Pixels of a tile of a convolution in groups."""
    return max(1, min(cols, 8 // outputs))
