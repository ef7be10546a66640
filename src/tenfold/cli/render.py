"""Tables on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tenfold.reporting.measures import LATENCY_NOTE, MEASURES, compared, written

if TYPE_CHECKING:
    from tenfold.core.plan import Choice
    from tenfold.core.report import Report
    from tenfold.deploy.bench import Timing
    from tenfold.jobs.bench import BenchedRun
    from tenfold.jobs.export import Exported
    from tenfold.jobs.inspect import Inspection
    from tenfold.jobs.quantise import QuantisedRun
    from tenfold.layers.census import LayerInfo
    from tenfold.options import Progress as Tell
    from tenfold.reporting.comparison import Comparison

__all__ = [
    "bench_table",
    "comparison_table",
    "export_table",
    "inspection_table",
    "int8_table",
    "layer_time_table",
    "progress_bars",
    "report_table",
    "show",
]

_WIDTH = 140  # of a table that goes to a file or a pipe
_SHOWN_LAYERS = 12
_PHASES = {
    "load": "reading images",
    "pretrain": "training the network",
    "statistics": "measuring layers",
    "timing": "timing layers",
    "candidates": "trying ranks",
    "refine": "refining ranks",
    "search": "searching ranks",
    "fit": "factorising",
    "recover": "recovering",
    "judge": "judging",
    "train": "fine-tuning",
    "evaluate": "testing",
    "export": "exporting",
    "bench": "timing",
    "quantise": "quantising",
}


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """A function to tell progress to: one bar a phase, on stderr."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.completed:>5.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def tell(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(_PHASES.get(phase, phase), total=total)
            bars.update(tasks[phase], completed=done, total=total)

        yield tell


def show(table: Table) -> None:
    """Print a table to stdout."""
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


def report_table(report: Report) -> Table:
    """Before and after, as a run measured it."""
    table = _table("", "before", "after", "after / before")
    for measure in MEASURES:
        before, after = measure.of(report.before), measure.of(report.after)
        table.add_row(measure.title, *_compared(before, after, measure.form, points=measure.points))
    table.caption = LATENCY_NOTE
    if report.latency is not None:
        table.caption += f"\n{report.latency.sentence}"
    return table


def comparison_table(comparison: Comparison) -> Table:
    """A column a run: what was measured, the best of a row in bold, and the settings that differ."""
    table = _table("", *(Text(name) for name in comparison.names))
    for row in comparison.measures:
        texts = (Text(x, "bold" if n in row.best else "") for n, x in enumerate(row.values))
        table.add_row(Text(row.title), *texts)
    differing = [row for row in comparison.settings if row.differs]
    table.add_section()
    for row in differing:
        table.add_row(*map(Text, (row.title, *row.values)))
    alike = len(comparison.settings) - len(differing)
    table.caption = f"settings alike: {alike}; {LATENCY_NOTE}"
    return table


def export_table(exported: Exported) -> Table:
    """Sizes and latencies, beside the original's where it could be built again."""
    table = _table("", "original", "compressed", "compressed / original")
    original, compressed = exported.original, exported.compressed
    size, time = (original.size_bytes, original.latency.median_ms) if original else (None, None)
    table.add_row("ONNX file, bytes", *_compared(size, compressed.size_bytes, ",.0f"))
    table.add_row("latency, ms", *_compared(time, compressed.latency.median_ms, ".3f"))
    table.caption = f"largest relative difference from torch: {exported.difference:.1e}"
    if exported.reason:
        table.caption += f"; no original: {exported.reason}"
    return table


def bench_table(benched: BenchedRun) -> Table:
    """Median latencies with their quartiles, and memory; the original beside the compressed network."""
    table = _table("runtime, batch, threads", "original, ms", "compressed, ms", "speed-up")
    rows = {(t.runtime, t.batch, t.threads, t.network): t for t in benched.timings}
    for runtime, batch, threads in dict.fromkeys((t.runtime, t.batch, t.threads) for t in benched.timings):
        old, new = (rows.get((runtime, batch, threads, name)) for name in ("original", "compressed"))
        faster = f"{old.spread.median_ms / new.spread.median_ms:.2f}x" if old and new else "-"
        table.add_row(f"{runtime}, {batch}, {threads}", _spread(old), _spread(new), faster)
    table.add_section()
    for batch in dict.fromkeys(batch for _, batch in benched.memory):
        old_bytes, new_bytes = (benched.memory.get((name, batch)) for name in ("original", "compressed"))
        cells = (written(x and x / 2**20, ".1f") for x in (old_bytes, new_bytes))
        table.add_row(f"memory in onnxruntime, {batch}, 1: MiB", *cells, "")
    table.caption = "medians (quartiles) of runs in turns"
    if benched.reason:
        table.caption += f"; no original: {benched.reason}"
    return table


def int8_table(made: QuantisedRun) -> Table:
    """From the original in float32 to the compressed network in 8 bits."""
    table = _table("", *made.files)
    files = list(made.files.values())
    table.add_row("ONNX file, bytes", *(f"{file.size_bytes:,}" for file in files))
    table.add_row("times smaller", *(f"{files[0].size_bytes / file.size_bytes:.2f}x" for file in files))
    table.add_row("test accuracy, %", *(f"{file.accuracy:.2f}" for file in files))
    table.add_row("held-out accuracy, %", *(written(file.held_out, ".2f") for file in files))
    table.add_row("latency, ms", *(f"{file.latency_ms:.3f}" for file in files))
    table.add_row("times faster", *(f"{files[0].latency_ms / file.latency_ms:.2f}x" for file in files))
    table.caption = (
        f"of {made.layers} layers, {made.layers - len(made.stored) - len(made.kept)} are computed in 8 bits "
        f"and {len(made.stored)} have their weights in 8 bits, for {made.goal}; {LATENCY_NOTE}"
    )
    return table


def layer_time_table(benched: BenchedRun) -> Table:
    """Where the time of the compressed network goes in ONNX Runtime, the slowest layers first."""
    table = _table("layer", "stages", "ms", "share")
    for row in benched.layers[:_SHOWN_LAYERS]:
        table.add_row(Text(row.layer), str(row.stages), f"{row.median_ms:.3f}", f"{100 * row.share:.1f} %")
    rest = benched.layers[_SHOWN_LAYERS:]
    if rest:
        time, share = sum(row.median_ms for row in rest), sum(row.share for row in rest)
        table.add_row(f"{len(rest)} more", "", f"{time:.3f}", f"{100 * share:.1f} %")
    table.caption = "one image, one thread, by ONNX Runtime's own profiler"
    return table


def _spread(timing: Timing | None) -> str:
    """A median and its quartiles."""
    if timing is None:
        return "-"
    low, high = timing.spread.quartiles
    return f"{timing.spread.median_ms:.3f} ({low:.3f}-{high:.3f})"


def inspection_table(inspection: Inspection) -> Table:
    """The layers of a network and, with a budget, what would become of them."""
    table = _table("layer", "kernel", "input", "parameters", "MACs", "factorised")
    for name in ("kernel", "input"):
        next(column for column in table.columns if column.header == name).justify = "left"
    table.columns[-1].justify, table.columns[-1].overflow = "left", "fold"
    prediction = inspection.prediction
    if prediction is not None:
        for header in ("parameters then", "MACs then"):
            table.add_column(header, justify="right")
    for info in inspection.census.layers:
        choice = prediction.choices[info.name] if prediction else None
        row = [
            info.name,
            _kernel(info),
            _input(info),
            f"{info.params:,}",
            f"{info.macs:,}",
            _verdict(info, choice, planned=prediction is not None),
        ]
        if prediction is not None:
            row += [f"{prediction.params[info.name]:,}", f"{prediction.macs[info.name]:,}"]
        table.add_row(*row)
    _add_totals(table, inspection)
    return table


def _table(*headers: str | Text) -> Table:
    """An empty table; figures stand to the right, the first column to the left."""
    table = Table(caption_justify="left")
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left")
    return table


def _compared(
    before: float | None, after: float | None, form: str, *, points: bool = False
) -> tuple[str, str, str]:
    """Two figures and how they compare."""
    return written(before, form), written(after, form), compared(before, after, points=points)


def _kernel(info: LayerInfo) -> str:
    """Class and shape of a layer."""
    if info.spec is None:
        return info.kind
    kh, kw = info.spec.kernel
    groups = f", {info.spec.groups} groups" if info.spec.groups > 1 else ""
    return f"{info.kind} {info.spec.inp} -> {info.spec.out}, {kh}x{kw}{groups}"


def _input(info: LayerInfo) -> str:
    """Size of the input, of the first call where there are several."""
    if not info.sizes:
        return "-"
    height, width = info.sizes[0]
    more = f" x{len(info.sizes)}" if len(info.sizes) > 1 else ""
    return f"{height}x{width}{more}"


def _verdict(info: LayerInfo, choice: Choice | None, *, planned: bool) -> str:
    """Whether a layer can be factorised, and how it would be."""
    if info.reason:
        return f"no, {info.reason}"
    if not planned:
        return "yes"
    if choice is None:
        return "kept: no chain is worth it here"
    return f"{choice.scheme} {'x'.join(map(str, choice.rank))}"


def _add_totals(table: Table, inspection: Inspection) -> None:
    """The last row."""
    counted, prediction = inspection.census, inspection.prediction
    table.add_section()
    row = ["whole network", "", "", f"{counted.params:,}", f"{counted.macs:,}"]
    if prediction is None:
        table.add_row(*row, "")
    else:
        rise = f"predicted rise {prediction.rise:.3g}"
        table.add_row(*row, rise, f"{prediction.total_params:,}", f"{prediction.total_macs:,}")
