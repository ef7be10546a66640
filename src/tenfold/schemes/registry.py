"""Schemes by name."""

from __future__ import annotations

from types import MappingProxyType

from tenfold.core.errors import UnknownNameError
from tenfold.schemes.base import Scheme
from tenfold.schemes.btd import Btd, Cp, Tucker
from tenfold.schemes.svd import Svd, SvdMirrored
from tenfold.schemes.tt import Tt, TtTucker

__all__ = ["SCHEMES", "candidates_of", "get_scheme"]

_ALL: tuple[Scheme, ...] = (Svd(), SvdMirrored(), Tucker(), Cp(), Btd(), Tt(), TtTucker())
SCHEMES = MappingProxyType({scheme.name: scheme for scheme in _ALL})

# What a name on the command line lets the allocation choose from. A pointwise kernel is a
# matrix, on which every scheme is the SVD: `svd` therefore stands in each row.
_CANDIDATES = {
    "svd": ("svd", "svd-mirrored"),
    "tucker": ("svd", "tucker"),
    "cp": ("svd", "cp"),
    "btd": ("svd", "btd"),
    "tt": ("svd", "tt"),
    "tt-tucker": ("svd", "tt-tucker"),
    "auto": ("svd", "svd-mirrored", "btd", "tt"),
}


def get_scheme(name: str) -> Scheme:
    """The scheme called `name`.

    Raises:
        UnknownNameError: there is none; the near names are in the message.

    Example:
        >>> get_scheme("btd").rank_names
        ('blocks', 'out', 'inp')
    """
    if name not in SCHEMES:
        raise UnknownNameError("scheme", name, SCHEMES)
    return SCHEMES[name]


def candidates_of(name: str, *, pointwise: bool) -> tuple[Scheme, ...]:
    """The schemes that ``--scheme name`` chooses from for one layer, `pointwise` if its kernel is 1x1.

    Raises:
        UnknownNameError: neither a scheme nor "auto".
    """
    if name not in _CANDIDATES:
        raise UnknownNameError("scheme", name, _CANDIDATES)
    names = _CANDIDATES[name]
    if pointwise:
        return (SCHEMES["svd"],)
    return tuple(SCHEMES[n] for n in names if n != "svd" or name in ("svd", "auto"))
