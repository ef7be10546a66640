"""Ranks in widths that processors like: multiples of what a vector register holds.

Convolutions are blocked by 8 or 16 channels in ONNX Runtime and oneDNN; a stage of 17 channels takes the
time of one of 24 or 32, and grouped stages whose groups are no multiple of it fall back to slow code.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenfold.core.shapes import ConvSpec, Rank
from tenfold.schemes.base import Scheme

__all__ = ["aligned_middles", "aligned_ranks"]

_BLOCK_SIZES = (4, 8, 16, 32)
_COUNTS = (2, 3, 4, 6, 8, 12, 16)
_MOST_UNKNOWNS = 2048  # order of the core solve of a fit, as in `tenfold.schemes.btd`


def aligned_ranks(scheme: Scheme, spec: ConvSpec, ranks: Iterable[Rank]) -> tuple[Rank, ...]:
    """What to time instead of `ranks`: their widths rounded, and for block terms larger blocks as well.

    The number of channels of a group is rounded to a multiple of 4, 8 or 16, the more the wider it is. Blocks
    of one size keep their numbers.

    Args:
        scheme: of the ranks.
        spec: the ungrouped layer.
        ranks: feasible ranks of `scheme`.

    Example:
        >>> from tenfold.schemes.registry import get_scheme
        >>> aligned_ranks(get_scheme("tucker"), ConvSpec(64, 64, (3, 3)), [(21, 30), (22, 31), (3, 3)])
        ((4, 4), (24, 32))
    """
    made = set(aligned_middles(scheme, spec, ranks))
    if scheme.name == "btd":
        made |= {scheme.clip(spec, rank) for rank in _large_blocks(spec)}
    return tuple(sorted(made))


def aligned_middles(scheme: Scheme, spec: ConvSpec, ranks: Iterable[Rank]) -> tuple[Rank, ...]:
    """As `aligned_ranks`, of the ranks that are given alone."""
    return tuple(sorted({scheme.clip(spec, _aligned(scheme, rank)) for rank in ranks}))


def _aligned(scheme: Scheme, rank: Rank) -> Rank:
    """One rank with its widths rounded."""
    if scheme.name != "btd":
        return tuple(map(_rounded, rank))
    blocks, out, inp = rank
    if blocks == 1:
        return (1, _rounded(out), _rounded(inp))
    return (_rounded(blocks), out, inp) if (out, inp) == (1, 1) else rank


def _rounded(width: int) -> int:
    """The nearest number of channels that fills registers."""
    if width < 6:
        return 4
    step = 8 if width < 48 else 16
    return max(step, step * round(width / step))


def _large_blocks(spec: ConvSpec) -> Iterable[Rank]:
    """Few blocks of many channels, as long as they are smaller than the layer."""
    kh, kw = spec.kernel
    whole = spec.out * spec.inp * kh * kw
    for size in _BLOCK_SIZES:
        for count in _COUNTS:
            numbers = count * size * (spec.out + spec.inp + kh * kw * size)
            if numbers < whole and count * size * size <= _MOST_UNKNOWNS:
                yield (count, size, size)
