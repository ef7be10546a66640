"""The figures of a network as people read them: names, units, digits, and how two compare."""

from __future__ import annotations

from dataclasses import dataclass

from tenfold.core.report import Measures

__all__ = ["LATENCY_NOTE", "MEASURES", "Measure", "compared", "written"]

LATENCY_NOTE = "latency: median for one image, one thread of ONNX Runtime, both networks in turns"


@dataclass(frozen=True)
class Measure:
    """One figure of a network.

    Attributes:
        name: the attribute of `tenfold.core.report.Measures`.
        title: with its unit.
        form: format of a value.
        points: whether two of them compare by difference, not by ratio; then, too, more is better.
    """

    name: str
    title: str
    form: str
    points: bool = False

    def of(self, measures: Measures | None) -> float | None:
        """The value, or None where it was not measured."""
        value: float | None = getattr(measures, self.name, None)
        return value


MEASURES = (
    Measure("accuracy", "test accuracy, %", ".2f", points=True),
    Measure("params", "parameters", ",.0f"),
    Measure("macs", "MACs", ",.0f"),
    Measure("size_bytes", "ONNX file, bytes", ",.0f"),
    Measure("latency_ms", "latency, ms", ".3f"),
)


def written(value: float | None, form: str) -> str:
    """A value in its format, "-" for one that was not measured.

    Example:
        >>> written(1234.5, ",.0f"), written(None, ",.0f")
        ('1,234', '-')
    """
    return "-" if value is None else f"{value:{form}}"


def compared(before: float | None, after: float | None, *, points: bool = False) -> str:
    """How `after` compares: a ratio, or a difference in points; "-" where that cannot be said.

    Example:
        >>> compared(2000, 500), compared(90.0, 89.5, points=True), compared(0, 5)
        ('0.250', '-0.50 points', '-')
    """
    if before is None or after is None:
        return "-"
    if points:
        return f"{after - before:+.2f} points"
    return f"{after / before:.3f}" if before else "-"
