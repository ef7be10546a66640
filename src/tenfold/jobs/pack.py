"""The compressed network of a run as a package for another device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenfold.options import Progress, silent
from tenfold.packaging.contents import Contents
from tenfold.packaging.measure import Measured, measure
from tenfold.packaging.options import PackOptions
from tenfold.packaging.write import write_package
from tenfold.runs.directory import RunDirectory

__all__ = ["Packed", "pack"]


@dataclass(frozen=True)
class Packed:
    """What `pack` made.

    Attributes:
        path: the folder of the package.
        contents: network and card.
        measured: its size and needs.
    """

    path: Path
    contents: Contents
    measured: Measured


def pack(
    run: Path,
    target: str,
    out: Path | None = None,
    options: PackOptions | None = None,
    *,
    name: str | None = None,
    release: str = "1.0.0",
    progress: Progress = silent,
) -> Packed:
    """Make a package of a finished run.

    Args:
        run: its directory.
        target: a name of `tenfold.packaging.targets.TARGETS`.
        out: folder to make; None takes packages/NAME-RELEASE-TARGET in the run directory.
        options: wishes of the user.
        name: of the package; None takes ARCHITECTURE-IMAGES.
        release: its version.
        progress: told what is going on.

    Raises:
        RunError: the run is not finished, or the package cannot be written.
        ExportError: the package cannot be built.
        UnknownNameError: there is no such target.
    """
    progress("pack", 0, 2)
    directory = RunDirectory.open(run)
    contents = Contents.of(directory, name=name, version=release)
    release = contents.card["version"]
    default = directory.path / "packages" / f"{contents.file_name}-{release.replace('/', '-')}-{target}"
    path = write_package(target, contents, out or default, options)
    progress("pack", 1, 2)
    measured = measure(path)
    progress("pack", 2, 2)
    return Packed(path, contents, measured)
