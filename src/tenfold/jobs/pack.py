"""The compressed network of a run, or tenfold itself, as a package for another computer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tenfold.core.errors import ExportError
from tenfold.options import Progress, silent
from tenfold.packaging.contents import Contents
from tenfold.packaging.measure import Measured, measure
from tenfold.packaging.options import PackOptions
from tenfold.packaging.studio import PROGRAM, build_studio, prove_studio
from tenfold.packaging.targets import STUDIO, target_of
from tenfold.packaging.write import place_package, write_package
from tenfold.runs.directory import RunDirectory

__all__ = ["Packed", "pack", "pack_studio"]


@dataclass(frozen=True)
class Packed:
    """What was made.

    Attributes:
        path: the folder of the package.
        title: its name and version.
        measured: its size and needs.
    """

    path: Path
    title: str
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
        RunError: the run is not finished or has no file in 8 bits that was asked for, or the package cannot
            be written.
        ExportError: the package cannot be built, or the target has not some option that is asked for.
        UnknownNameError: there is no such target.
    """
    options = options or PackOptions()
    target_of(target).check(options)
    progress("pack", 0, 2)
    directory = RunDirectory.open(run)
    contents = Contents.of(directory, name=name, version=release, int8=options.int8)
    named, release = contents.card["name"], contents.card["version"]
    default = directory.path / "packages" / f"{contents.file_name}-{release.replace('/', '-')}-{target}"
    path = write_package(target, contents, out or default, options)
    return _measured(path, f"{named} {release}", progress)


def pack_studio(
    out: Path | None = None, options: PackOptions | None = None, *, progress: Progress = silent
) -> Packed:
    """Make a bundle of tenfold itself, with its desktop program and PyTorch, for computers without Python.

    Args:
        out: folder to make; None takes tenfold-studio-VERSION in the current folder.
        options: wishes of the user; none can be fulfilled.
        progress: told what is going on.

    Raises:
        RunError: the bundle cannot be written.
        ExportError: it cannot be built, or an option is asked for.
    """
    for asked in sorted((options or PackOptions()).asked):
        raise ExportError(f"a bundle {STUDIO!r} has no option {asked.replace('_', '-')}: leave it out")
    progress("pack", 0, 2)
    release = version("tenfold")
    path = place_package(out or Path(f"{PROGRAM}-{release}"), build_studio, prove_studio)
    return _measured(path, f"{PROGRAM} {release}", progress)


def _measured(path: Path, title: str, progress: Progress) -> Packed:
    """A package that is in its place."""
    progress("pack", 1, 2)
    measured = measure(path)
    progress("pack", 2, 2)
    return Packed(path, title, measured)
