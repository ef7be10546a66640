"""What a user may ask of a package beside its target."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

__all__ = ["PackOptions"]


@dataclass(frozen=True)
class PackOptions:
    """Wishes; a target refuses those it cannot fulfil.

    Attributes:
        one_file: one executable that unpacks itself at each start, instead of a folder.
        int8: the network in 8 bits, as ``tenfold export RUN --int8`` made it, instead of the one in 32.
        icon: picture for the program and its window.
        passphrase: the network is encrypted with it; never shown.
    """

    one_file: bool = False
    int8: bool = False
    icon: Path | None = None
    passphrase: str | None = field(default=None, repr=False)

    @property
    def asked(self) -> frozenset[str]:
        """Names of those that are not at their defaults.

        Example:
            >>> sorted(PackOptions(one_file=True).asked)
            ['one_file']
        """
        return frozenset(f.name for f in fields(self) if getattr(self, f.name) != f.default)
