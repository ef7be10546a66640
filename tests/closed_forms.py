"""Parameters of every scheme as a formula of the kernel (out, in, kh, kw) and the rank, bias not counted."""

from __future__ import annotations

from collections.abc import Callable

from tenfold.core.shapes import Rank

__all__ = ["CLOSED_FORMS"]


def _svd(shape: tuple[int, ...], rank: Rank) -> int:
    n_out, n_in, kh, kw = shape
    return rank[0] * (n_in * kh * kw + n_out)


def _svd_mirrored(shape: tuple[int, ...], rank: Rank) -> int:
    n_out, n_in, kh, kw = shape
    return rank[0] * (n_in + n_out * kh * kw)


def _tucker(shape: tuple[int, ...], rank: Rank) -> int:
    (n_out, n_in, kh, kw), (p, q) = shape, rank
    return (n_in * q if q < n_in else 0) + kh * kw * p * q + (n_out * p if p < n_out else 0)


def _cp(shape: tuple[int, ...], rank: Rank) -> int:
    n_out, n_in, kh, kw = shape
    return rank[0] * (n_in + kh * kw + n_out)


def _btd(shape: tuple[int, ...], rank: Rank) -> int:
    (n_out, n_in, kh, kw), (blocks, p, q) = shape, rank
    return _tucker(shape, (p, q)) if blocks == 1 else blocks * (n_in * q + kh * kw * p * q + n_out * p)


def _tt(shape: tuple[int, ...], rank: Rank) -> int:
    (n_out, n_in, kh, kw), (r1, r2, r3) = shape, rank
    outer = (n_in * r1 if r1 < n_in else 0) + (n_out * r3 if r3 < n_out else 0)
    return outer + kh * r1 * r2 + kw * r2 * r3


CLOSED_FORMS: dict[str, Callable[[tuple[int, ...], Rank], int]] = {
    "svd": _svd,
    "svd-mirrored": _svd_mirrored,
    "tucker": _tucker,
    "cp": _cp,
    "btd": _btd,
    "tt": _tt,
    "tt-tucker": _tt,
}
