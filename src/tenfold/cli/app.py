"""The command `tenfold`. PyTorch is imported by the command that needs it: help must come at once."""

from __future__ import annotations

import json
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tenfold.cli.desktop import names, preview, studio
from tenfold.cli.options import given, takes_settings
from tenfold.cli.pack import pack
from tenfold.config import CompressSettings, InspectSettings, LearnSettings, read_toml
from tenfold.core.errors import ExportError, InterruptedRunError, TenfoldError
from tenfold.core.names import FileFormat

if TYPE_CHECKING:
    from tenfold.runs.directory import RunDirectory

__all__ = ["app", "main"]

_REFUSED = 2
_INTERRUPTED = 130


class _Group(TyperGroup):
    """All commands; an error the user can put right is one line, any other keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except InterruptedRunError as error:
            typer.echo(_with_way_on("interrupted", error, "nothing was left behind"), err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except TenfoldError as error:
            typer.echo(_with_way_on(f"error: {' '.join(str(error).split())}", error), err=True)
            raise typer.Exit(_REFUSED) from None
        except KeyboardInterrupt:
            typer.echo("interrupted; nothing was left behind", err=True)
            raise typer.Exit(_INTERRUPTED) from None


def _with_way_on(text: str, error: TenfoldError, otherwise: str = "") -> str:
    """A message, and how to go on with the run it is about."""
    way = f"go on with: tenfold resume {error.resumable}" if error.resumable else otherwise
    return f"{text}; {way}" if way else text


app = typer.Typer(
    name="tenfold",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Makes a convolutional network several times smaller, every rank chosen by itself.",
)


def main() -> None:
    """What the console script and ``python -m tenfold`` start."""
    if sys.platform == "win32":  # what stops a process that another program started, as Ctrl-C does
        signal.signal(signal.SIGBREAK, signal.default_int_handler)
    app(prog_name="tenfold")


def _show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        typer.echo(f"tenfold {version('tenfold')}")
        raise typer.Exit


@app.callback()
def _tenfold(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """Makes a convolutional network several times smaller, every rank chosen by itself."""


@app.command()
def demo(
    out: Annotated[
        Path | None,
        typer.Option(help="Run directory; else the first free one of runs/demo, runs/demo-2, ..."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is random.")] = 0,
) -> None:
    """Train, compress and export a small network on the digits of scikit-learn; no network access."""
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.demo import demo as run_demo

    with progress_bars() as tell:
        run = run_demo(out, seed=seed, progress=tell)
    _show_run(run)


@app.command()
@takes_settings(CompressSettings)
def compress(
    job: Annotated[
        Path | None, typer.Option(help="Job file (TOML) with settings; options given beside it go before it.")
    ] = None,
    **values: Any,
) -> None:
    """Compress a trained network to a budget and write a run directory."""
    settings = CompressSettings.make(_merged(job, given(values)))
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.compress import run as run_compress

    with progress_bars() as tell:
        run = run_compress(settings, tell)
    _show_run(run)


@app.command()
@takes_settings(CompressSettings)
def search(
    job: Annotated[
        Path | None, typer.Option(help="Job file (TOML) with settings; options given beside it go before it.")
    ] = None,
    **values: Any,
) -> None:
    """Search the ranks alone, and write a run directory with the plan, for `compress --plan`."""
    settings = CompressSettings.make({"selector": "bayes", "until": "plan", **_merged(job, given(values))})
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.compress import run as run_compress

    with progress_bars() as tell:
        run = run_compress(settings, tell)
    _show_run(run)


@app.command()
@takes_settings(LearnSettings)
def learn(
    job: Annotated[
        Path | None, typer.Option(help="Job file (TOML) with settings; options given beside it go before it.")
    ] = None,
    **values: Any,
) -> None:
    """Train a network from random weights that is compressed by construction, and write a run directory."""
    settings = LearnSettings.make(_merged(job, given(values)))
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.learn import run as run_learn

    with progress_bars() as tell:
        run = run_learn(settings, tell)
    _show_run(run)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Directory of a run that was stopped.")],
) -> None:
    """Go on with a run that was stopped, at whatever moment; it ends as it would have ended."""
    from tenfold.cli.render import progress_bars
    from tenfold.jobs.compress import resume as resume_run

    with progress_bars() as tell:
        found = resume_run(run, tell)
    _show_run(found)


app.command()(preview)


@app.command()
@takes_settings(InspectSettings)
def inspect(**values: Any) -> None:
    """List the layers of a network: what can be factorised, and what a budget would make of them."""
    settings = InspectSettings.make(given(values))
    from tenfold.cli.render import inspection_table, progress_bars, show
    from tenfold.jobs.inspect import inspect as run_inspect

    with progress_bars() as tell:
        inspection = run_inspect(settings, tell)
    show(inspection_table(inspection))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out: Annotated[Path | None, typer.Option(help="File to write; else one in the run directory.")] = None,
    form: Annotated[
        FileFormat,
        typer.Option(
            "--format", help="ONNX, torch.export, a folder with safetensors, or ExecuTorch (extra)."
        ),
    ] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="ONNX in 8 bits, wherever that pays; needs the images of the run.")
    ] = False,
) -> None:
    """Export the compressed network of a run, check it in a fresh process, measure it beside the original."""
    if int8:
        if form != "onnx":
            raise ExportError(
                f"8 bits are exported to ONNX alone, not to {form}: leave --format or --int8 out"
            )
        _export_int8(run, out)
        return
    if form != "onnx":
        _export_as(run, form, out)
        return
    from tenfold.cli.render import export_table, progress_bars, show
    from tenfold.jobs.export import export as run_export

    with progress_bars() as tell:
        exported = run_export(run, out, tell)
    show(export_table(exported))
    typer.echo(f"exported to {exported.path}")


app.command()(pack)


@app.command()
def bench(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Images at a time; else 1 and 32.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Threads; else one and as many as there are cores.")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=30, help="Timed runs of each, in turns.")] = 30,
) -> None:
    """Time original and compressed network in torch and ONNX Runtime, and say where the time goes."""
    from tenfold.cli.render import bench_table, layer_time_table, progress_bars, show
    from tenfold.jobs.bench import bench_run

    with progress_bars() as tell:
        found = bench_run(
            run,
            batches=tuple(batch or (1, 32)),
            threads=tuple(threads or ()),
            repetitions=repetitions,
            progress=tell,
        )
    show(bench_table(found))
    show(layer_time_table(found))
    typer.echo(f"bench: {found.path}")


app.command()(studio)
app.command(hidden=True)(names)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run directory, of a run that is finished or not.")],
) -> None:
    """Write the report.html of a run again, from the files in its directory."""
    from tenfold.cli.render import report_table, show
    from tenfold.jobs.report import report as write_report

    made = write_report(run)
    if made.record.report is None and not made.record.planned:
        typer.echo(f"{run} is {made.record.standing}; the page shows what is there", err=True)
    if made.record.report is not None:
        show(report_table(made.record.report))
    typer.echo(f"report: {made.path}")


@app.command()
def figures(
    run: Annotated[Path, typer.Argument(help="Run directory, of a run that is finished or not.")],
    out: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    dark: Annotated[bool, typer.Option("--dark", help="Light lines on a dark ground.")] = False,
    dots: Annotated[float, typer.Option(min=20, max=1200, help="Dots to the inch.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Write the figures of a run's report as PNG files."""
    from tenfold.jobs.figures import draw_figures

    pictures = draw_figures(run, out, dark=dark, dots=dots)
    if as_json:
        typer.echo(json.dumps([{**vars(picture), "path": str(picture.path)} for picture in pictures]))
        return
    for picture in pictures:
        typer.echo(f"{picture.path}: {picture.caption}")
    if not pictures:
        typer.echo(f"{run} has measured nothing yet that a figure could show", err=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, two or more.")],
    out: Annotated[
        Path | None, typer.Option(help="Page to write (HTML), with figures and all settings.")
    ] = None,
) -> None:
    """Lay runs side by side: what they measured, and the settings that differ."""
    from tenfold.cli.render import comparison_table, show
    from tenfold.jobs.compare import compare as compare_runs

    comparison = compare_runs(runs, out)
    show(comparison_table(comparison))
    for sentence in comparison.unfinished:
        typer.echo(sentence, err=True)
    if out is not None:
        typer.echo(f"comparison: {out}")


def _export_as(run: Path, form: FileFormat, out: Path | None) -> None:
    """Another format than ONNX."""
    from tenfold.jobs.export import export_as

    made = export_as(run, form, out)
    typer.echo(
        f"exported to {made.path}: {made.size_bytes:,} bytes, largest relative difference from torch "
        f"in a fresh process {made.difference:.1e}"
    )


def _export_int8(run: Path, out: Path | None) -> None:
    """Quantise, and show what came of it."""
    from tenfold.cli.render import int8_table, progress_bars, show
    from tenfold.jobs.quantise import quantise_run

    with progress_bars() as tell:
        made = quantise_run(run, out, tell)
    show(int8_table(made))
    for layer, reason in made.kept.items():
        typer.echo(f"kept in float32: {layer}: {reason}")
    typer.echo(f"exported to {made.path}")


def _merged(job: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """The settings of a job file, with the options that go before them."""
    values = read_toml(job) if job is not None else {}
    for one, others in (("plan", ("budget", "front")), ("budget", ("plan",))):
        for other in others:
            if one in options and other not in options:
                values.pop(other, None)  # each says what may ship: the one given now holds
    return {**values, **options}


def _show_run(run: RunDirectory | None) -> None:
    """The figures of a finished run, and where it is; None is another process's."""
    from tenfold.cli.render import report_table, show

    if run is None:
        return
    if run.report.is_file():
        show(report_table(run.read_report()))
    else:
        typer.echo(f"plan: {run.plan}")
    typer.echo(f"run directory: {run.path}")
