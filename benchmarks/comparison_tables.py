"""The tables of the comparison as Markdown, and the places where they are shown."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import ablations
import engine
import learning
import numpy as np
import published
import samplers
import speed
from comparison_rows import BAYES, DEFAULT, PEER, PEER_RECOVERED, PLANNED, SCHEMES, Cell, Row

import runs

__all__ = ["everything", "tables", "write"]

Measured = dict[Cell, list[Row]]

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "docs" / "measured"
TITLES = {
    "resnet20": "ResNet-20",
    "resnet32": "ResNet-32",
    "resnet56": "ResNet-56",
    "vgg": "VGG, Fashion-MNIST",
}
ABLATIONS = ("scheme", "selector", "schedule", "distillation")
_EMPTY = "-"
_NOWHERE = "in no cell that is measured"
_ABSENT = {
    "learned": "Not measured yet: `TENFOLD_DATA=FOLDER python benchmarks/learning.py run`.",
    **dict.fromkeys(
        [f"cifar-{name}" for name in ABLATIONS],
        "Not measured yet: `TENFOLD_DATA=FOLDER python benchmarks/ablations.py run`.",
    ),
    "cifar-samplers": "Not measured yet: `TENFOLD_DATA=FOLDER python benchmarks/samplers.py run`.",
    "engine": "Not measured yet, since all else on the machine must rest: `python benchmarks/engine.py`.",
    "speed": "Not measured yet, since all else on the machine must rest: `python benchmarks/speed.py run`.",
}
_MARK = "<!-- {} of benchmarks/compare.py{} -->"


def everything(known: Measured) -> str:
    """All tables, each under its name."""
    return "\n\n".join(f"{name}\n\n{text}" for name, text in tables(known).items())


def tables(known: Measured) -> dict[str, str]:
    """Name -> table; empty where nothing is known."""
    shot = {cell: rows for cell, rows in known.items() if not cell.epochs}
    fine = {cell: rows for cell, rows in known.items() if cell.epochs}
    return {
        "one-shot": accuracies(shot),
        "one-shot-costs": costs(shot),
        "fine-tuned": costs(fine, _SHORT),
        "fine-tuned-costs": costs(fine),
        "behind": behind(known),
        "published": published.as_table(),
        "metric": ablations.table("metric"),
        **{f"cifar-{name}": ablations.table(name) for name in ABLATIONS},
        "cifar-samplers": samplers.table(runs.load("samplers")),
        "engine": engine.table(runs.load("engine")) if runs.load("engine") else "",
        "speed": speed.table(runs.load("speed")) if runs.load("speed") else "",
        "learned": learned(),
    }


def write(known: Measured) -> None:
    """Every table to docs/measured, and those that README.md has a place for."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    for name, table in tables(known).items():
        (MEASURED / f"{name}.md").write_text(f"{table or _ABSENT[name]}\n")
        text = placed(text, name, table)
    readme.write_text(text)


def placed(page: str, name: str, table: str) -> str:
    """`page` with `table` between the two comments that name it, if it has them.

    Example:
        >>> empty = "<!-- a of benchmarks/compare.py --><!-- a of benchmarks/compare.py: end -->"
        >>> print(placed(empty, "a", "| 1 |"))
        <!-- a of benchmarks/compare.py -->
        <BLANKLINE>
        | 1 |
        <BLANKLINE>
        <!-- a of benchmarks/compare.py: end -->
    """
    begin, end = _MARK.format(name, ""), _MARK.format(name, ": end")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{table}\n\n{end}", page)


def accuracies(known: Measured) -> str:
    """One row a network and ratio, one column a way, the best of a row bold; MACs and time of the default."""
    ways = [way for way in (PEER, PEER_RECOVERED, *SCHEMES) if any(cell.way == way for cell in known)]
    lines = as_lines(("network", "parameters", *map(said, ways), "its MACs", "times faster", "seeds"))
    for network, ratio in dict.fromkeys((cell.network, cell.ratio) for cell in known):
        found = {way: known.get(Cell(network, ratio, way, 0), []) for way in ways}
        best = max(accuracy(rows) for rows in found.values() if rows)
        cells = [
            bold(_spread(row.accuracy for row in rows), rows and accuracy(rows) == best)
            for rows in found.values()
        ]
        cells += [
            runs.middle((getattr(row, cost) for row in found[DEFAULT]), form) for cost, form in _DEFAULTS
        ]
        original = next(rows[0].original for rows in reversed(found.values()) if rows)
        lines.append(
            as_line((titled(network, original), f"{ratio:g}x fewer", *cells, _seeds(found.values())))
        )
    return "\n".join([*lines, "", coverage(known, 0)])


_DEFAULTS = (("macs", ",.0f"), ("faster", ".2f"))
_COLUMNS: dict[str, Callable[[Cell, list[Row]], str]] = {
    "network": lambda cell, rows: titled(cell.network, rows[0].original),
    "asked": lambda cell, _: f"{cell.ratio:g}x",
    "way": lambda cell, _: said(cell.way),
    "test accuracy, %": lambda _, rows: _spread(row.accuracy for row in rows),
    "parameters": lambda _, rows: f"{rows[0].params:,} ({rows[0].factor:.2f}x fewer)",
    "MACs": lambda _, rows: runs.middle((row.macs for row in rows), ",.0f"),
    "ONNX, bytes": lambda _, rows: runs.middle((row.size_bytes for row in rows), ",.0f"),
    "times faster": lambda _, rows: runs.middle((row.faster for row in rows), ".2f"),
    "epochs": lambda cell, _: str(cell.epochs),
    "seeds": lambda _, rows: str(len(rows)),
    "seconds": lambda _, rows: runs.middle((row.seconds for row in rows), ".0f"),
    "machine": lambda _, rows: rows[0].machine,
}
_SHORT = [name for name in _COLUMNS if name not in ("ONNX, bytes", "seconds", "machine")]


def costs(known: Measured, columns: Sequence[str] = tuple(_COLUMNS)) -> str:
    """One row a way, with what it costs."""
    lines = as_lines(columns)
    lines += [as_line(_COLUMNS[name](cell, rows) for name in columns) for cell, rows in known.items()]
    return "\n".join([*lines, "", coverage(known, max(cell.epochs for cell in known))])


def behind(known: Measured) -> str:
    """Where tenfold's default keeps less, computes more than another way, or is slower than the original."""
    less, factors, slow = [], [], []
    for cell, rows in known.items():
        ours = known.get(replace(cell, way=DEFAULT), [])
        if ours and cell.method not in (DEFAULT, BAYES) and accuracy(rows) > accuracy(ours):
            less.append(
                f"{accuracy(ours):.2f} % against {accuracy(rows):.2f} % of {said(cell.way)} ({where(cell)})"
            )
        if ours and cell.way == PEER and rows[0].macs:
            factors.append(ours[0].macs / rows[0].macs)
        speeds = [row.faster for row in rows if row.faster]
        if cell.method in (DEFAULT, BAYES) and speeds and round(statistics.median(speeds), 2) < 1:
            slow.append(f"{statistics.median(speeds):.2f}x ({where(cell)})")
    even, more = at_equal_macs(known), [factor for factor in factors if factor > 1]
    times = f"{runs.spread(more)} times, in {len(more)} of {len(factors)} cells" if more else _NOWHERE
    return "\n".join((
        f"- Less accurate than another way: {', '.join(less) or _NOWHERE}.",
        f"- More MACs than tensorly-torch's CP of as many parameters: {times}.",
        "- Less accurate than it with our recovery at equal MACs (interpolated): "
        f"{', '.join(even) or _NOWHERE}.",
        f"- Slower than the original in ONNX Runtime: {', '.join(slow) or _NOWHERE}.",
    ))  # fmt: skip


def at_equal_macs(known: Measured) -> list[str]:
    """Where tensorly-torch's CP with tenfold's recovery would keep more at the default's MACs."""
    found = []
    for cell, rows in known.items():
        peers = sorted(
            (others[0].macs, accuracy(others))
            for other, others in known.items()
            if (other.network, other.way) == (cell.network, PEER_RECOVERED) and others[0].macs
        )
        if cell.way != DEFAULT or cell.epochs or not rows[0].macs or not peers:
            continue
        macs, kept = zip(*peers, strict=True)
        theirs = float(np.interp(rows[0].macs, macs, kept))
        if macs[0] <= rows[0].macs <= macs[-1] and theirs > accuracy(rows):
            found.append(f"{accuracy(rows):.1f} against {theirs:.1f} % ({where(cell)})")
    return found


def learned() -> str:
    """The tables of learning.py, for all epochs, optimisers and options that it was run with."""
    results = runs.load("learning")
    asked = {
        (int(found[1]), found[2], found[3])
        for key in results
        if (found := re.fullmatch(r"\S+ lc, (\d+) epochs, (\w+), seed \d+ ?(.*)", key))
    }
    said = [
        (epochs, by, options, learning.table(results, epochs, by, options.split()))
        for epochs, by, options in sorted(asked)
    ]
    return "\n\n".join(
        f"{epochs} epochs in all, by {by}{f', `{options}`' if options else ''}:\n\n{text}"
        for epochs, by, options, text in said
    )


def coverage(known: Measured, epochs: int) -> str:
    """How much of what was planned is there."""
    planned = [cell for cell in PLANNED if bool(cell.epochs) == bool(epochs)]
    there = len({cell.planned for cell in known} & set(planned))
    if there == len(planned):
        return f"All {there} planned cells are measured."
    return (
        f"{there} of {len(planned)} planned cells are measured; `python benchmarks/compare.py missing` "
        "prints the command for each of the others."
    )


def where(cell: Cell) -> str:
    """A network, a ratio and a stage."""
    stage = f"{cell.epochs} epochs" if cell.epochs else "one shot"
    return f"{TITLES[cell.network]} at {cell.ratio:g}x, {stage}"


def said(way: str) -> str:
    """The way as a heading says it."""
    if way in (PEER, PEER_RECOVERED):
        return way
    method, comma, changed = way.partition(", ")
    return f"tenfold{comma}{changed}" if method == DEFAULT else f"tenfold, {way}"


def titled(network: str, original: float | None) -> str:
    """The network, and its accuracy before."""
    return TITLES[network] + (f" ({original:.2f} %)" if original else "")


def accuracy(rows: Sequence[Row]) -> float:
    """Mean over seeds."""
    return statistics.mean(row.accuracy for row in rows)


def bold(text: str, whether: object) -> str:
    return f"**{text}**" if whether else text


def as_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_lines(head: Sequence[str]) -> list[str]:
    """The head of a table."""
    return [as_line(head), as_line("---" for _ in head)]


def _spread(values: Iterable[float]) -> str:
    """Mean and ends, or nothing."""
    found = list(values)
    return runs.spread(found) if found else _EMPTY


def _seeds(found: Iterable[list[Row]]) -> str:
    """How many there are, fewest and most of the ways that were measured."""
    counts = {len(rows) for rows in found if rows}
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
