"""The command `tenfold pack`."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenfold.packaging.passphrase import check_passphrase

if TYPE_CHECKING:
    from tenfold.jobs.pack import Packed

__all__ = ["pack"]


def pack(  # noqa: PLR0913, PLR0917  each is an option of the command
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    target: Annotated[
        str, typer.Option(help="cli, desktop, folder (needs Python on the device), native or web.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to make; else packages/NAME-RELEASE-TARGET in the run directory."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the package; else ARCHITECTURE-IMAGES.")] = None,
    release: Annotated[str, typer.Option(help="Version of the package, for people.")] = "1.0.0",
    icon: Annotated[Path | None, typer.Option(help="Picture of the program: PNG, JPEG or ICO.")] = None,
    one_file: Annotated[
        bool,
        typer.Option("--one-file", help="cli and desktop: one file that unpacks itself; slower to start."),
    ] = False,
    protect: Annotated[
        bool, typer.Option("--protect", help="Encrypt the network; a passphrase is asked for, twice.")
    ] = False,
) -> None:
    """Pack the compressed network of a run for a device without PyTorch."""
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.pack import pack as run_pack
    from tenfold.packaging.options import PackOptions

    options = PackOptions(one_file=one_file, icon=icon, passphrase=_passphrase() if protect else None)
    with progress_bars() as tell:
        packed = run_pack(run, target, out, options, name=name, release=release, progress=tell)
    _show(packed)


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
    table = Table(title=f"{packed.contents.card['name']} {packed.contents.card['version']}")
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
