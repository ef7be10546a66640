"""The kinds of packages, by name. A new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tenfold.core.errors import ExportError, UnknownNameError
from tenfold.packaging.contents import Contents
from tenfold.packaging.folder import build_folder
from tenfold.packaging.frozen import build_cli, build_desktop, prove_program
from tenfold.packaging.native import build_native, prove_native
from tenfold.packaging.options import PackOptions
from tenfold.packaging.web import build_web

__all__ = ["STUDIO", "TARGETS", "Build", "Target", "target_of"]

Build = Callable[[Contents, Path, PackOptions], None]
"""Fills an empty folder with a package, all but its manifest; raises a `TenfoldError` if it cannot."""


@dataclass(frozen=True)
class Target:
    """A kind of package.

    Attributes:
        name: on the command line.
        build: makes it.
        prove: looks at the finished package in a process of its own; None where there is nothing to start.
        obeys: names of the fields of `PackOptions` that it heeds.
    """

    name: str
    build: Build
    obeys: frozenset[str] = frozenset()
    prove: Build | None = None

    def check(self, options: PackOptions) -> None:
        """Refuse wishes that it would pass over.

        Raises:
            ExportError: there is one.

        Example:
            >>> Target("web", build_folder).check(PackOptions(one_file=True))
            Traceback (most recent call last):
            tenfold.core.errors.ExportError: a package 'web' has no option one-file: leave it out
        """
        for name in sorted(options.asked - self.obeys):
            raise ExportError(f"a package {self.name!r} has no option {name.replace('_', '-')}: leave it out")


_PROGRAM = frozenset({"icon", "int8", "one_file", "passphrase"})

TARGETS = {
    target.name: target
    for target in (
        Target("cli", build_cli, _PROGRAM, prove_program),
        Target("desktop", build_desktop, _PROGRAM, prove_program),
        Target("folder", build_folder, frozenset({"icon", "int8", "passphrase"})),
        Target("native", build_native, prove=prove_native),
        Target("web", build_web, frozenset({"icon", "int8"})),
    )
}
"""All kinds of packages of a network."""

STUDIO = "studio"
"""The bundle of tenfold itself, which is of no network; see `tenfold.packaging.studio`."""


def target_of(name: str) -> Target:
    """The kind of package of that name.

    Raises:
        UnknownNameError: there is none.
    """
    try:
        return TARGETS[name]
    except KeyError:
        raise UnknownNameError("target", name, [*TARGETS, STUDIO]) from None
