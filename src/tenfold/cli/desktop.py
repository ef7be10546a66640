"""Commands of the desktop program: itself, and what it asks in processes of their own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenfold.config import job_settings, read_toml

if TYPE_CHECKING:
    from tenfold.jobs.preview import Preview

__all__ = ["names", "preview", "studio"]


def studio(
    data: Annotated[
        Path | None, typer.Option(help="Data folder; else TENFOLD_STUDIO, or the system's own folder for it.")
    ] = None,
    restore: Annotated[
        bool,
        typer.Option("--restore", help="Put the database of the last start in the place of a broken one."),
    ] = False,
) -> None:
    """Open the desktop program: accounts, forms, the manual, jobs with progress, results and packages."""
    from tenfold.studio.program import open_studio, restore_backup

    if restore:
        typer.echo(f"the backup is in place; the file before it is now {restore_backup(data)}")
        return
    open_studio(data)


def preview(
    job: Annotated[Path, typer.Option(help="Job file (TOML) of a compress or learn job.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say what a job would do: parameters, MACs and about how long it takes; nothing is written."""
    settings = job_settings(read_toml(job))
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.preview import preview as run_preview

    with progress_bars() as tell:
        found = run_preview(settings, tell)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    _show(found)


def names() -> None:
    """List the networks and the data sets that are known by name, as JSON."""
    from tenfold.data.source import data_names
    from tenfold.zoo.build import architectures

    typer.echo(json.dumps({"arch": architectures(), "data": data_names()}))


def _show(found: Preview) -> None:
    """Both networks, and the time."""
    from rich.table import Table

    from tenfold.cli.render import show
    from tenfold.reporting.measures import compared, written

    table = Table("", "before", "predicted", "after / before")
    for title, (before, after) in (("parameters", found.params), ("MACs", found.macs)):
        table.add_row(title, f"{before:,}", written(after, ",.0f"), compared(before, after))
    show(table)
    if found.factorised is not None:
        typer.echo(f"layers that are replaced: {found.factorised} of {found.layers}")
    typer.echo(
        f"training: {found.steps:,} steps, about {found.seconds:,.0f} s on this machine; plus the rest"
    )
