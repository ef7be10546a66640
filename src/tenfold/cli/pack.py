"""The command `tenfold pack`."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenfold.core.errors import ExportError
from tenfold.packaging.passphrase import check_passphrase

if TYPE_CHECKING:
    from tenfold.jobs.pack import Packed

__all__ = ["pack"]


def pack(  # noqa: PLR0913, PLR0917  each is an option of the command
    target: Annotated[
        str,
        typer.Option(
            help="cli, desktop, folder (needs Python on the device), native or web; or studio, which is "
            "tenfold itself with PyTorch, without a RUN."
        ),
    ],
    run: Annotated[Path | None, typer.Argument(help="Run directory.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to make; else packages/NAME-RELEASE-TARGET in the run directory, or "
            "tenfold-studio-VERSION here."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the package; else ARCHITECTURE-IMAGES.")] = None,
    release: Annotated[
        str | None, typer.Option(help="Version of the package, for people; else 1.0.0.")
    ] = None,
    icon: Annotated[Path | None, typer.Option(help="Picture of the program: PNG, JPEG or ICO.")] = None,
    one_file: Annotated[
        bool,
        typer.Option("--one-file", help="cli and desktop: one file that unpacks itself; slower to start."),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Take the file of `tenfold export RUN --int8`; not native."),
    ] = False,
    protect: Annotated[
        bool, typer.Option("--protect", help="Encrypt the network; a passphrase is asked for, twice.")
    ] = False,
) -> None:
    """Pack the compressed network of a run for a device without PyTorch, or tenfold itself."""
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.pack import pack as run_pack
    from tenfold.jobs.pack import pack_studio
    from tenfold.packaging.options import PackOptions
    from tenfold.packaging.targets import STUDIO, target_of

    options = PackOptions(one_file=one_file, icon=icon, int8=int8)
    if target == STUDIO:
        _check_studio(run=run, name=name, release=release, protect=protect or None)
        with progress_bars() as tell:
            _show(pack_studio(out, options, progress=tell))
        return
    target_of(target)
    if run is None:
        raise ExportError(f"a package {target!r} is of a run: give its directory, tenfold pack RUN ...")
    if protect:
        options = replace(options, passphrase=_passphrase())
    with progress_bars() as tell:
        packed = run_pack(run, target, out, options, name=name, release=release or "1.0.0", progress=tell)
    _show(packed)


def _check_studio(**given: object) -> None:
    """Refuse what belongs to packages of a run.

    Raises:
        ExportError: it was given.
    """
    for what, value in given.items():
        if value is not None:
            word = "RUN" if what == "run" else f"--{what}"
            raise ExportError(
                f"the bundle 'studio' is tenfold itself, not a network of yours: leave {word} out"
            )


def _passphrase() -> str:
    """What the user types twice without seeing it; from a pipe, its first line.

    Raises:
        ExportError: as `check_passphrase`.
    """
    if sys.stdin.isatty():
        first, second = (getpass.getpass(f"Passphrase{again}: ") for again in ("", " again"))
    else:
        first = second = sys.stdin.readline().rstrip("\r\n")
    return check_passphrase(first, second)


def _show(packed: Packed) -> None:
    """Where the package is, what it weighs and what it needs."""
    from rich.table import Table

    from tenfold.cli.render import show

    found = packed.measured
    table = Table(title=packed.title)
    table.add_column("largest parts")
    table.add_column("bytes", justify="right")
    for part, size in found.largest:
        table.add_row(part, f"{size:,}")
    table.add_section()
    table.add_row(f"all {found.files} files", f"{found.size_bytes:,}")
    show(table)
    typer.echo(f"SHA-256 of manifest.json, which lists every file: {found.sha256}")
    if found.glibc is not None:
        typer.echo("runs on Linux with glibc {}.{} or newer".format(*found.glibc))
    typer.echo(f"package: {packed.path}")
