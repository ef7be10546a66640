"""What a package says about itself: the network, its classes, how it wants images, what it was and became."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold_runner.errors import PackageError

__all__ = ["CARD", "CARD_FORMAT", "READING", "Card", "Figures"]

CARD = "card.json"
"""Name of the file."""

CARD_FORMAT = 1
"""The format that is written and read."""

READING = {
    "resize": "bilinear",
    "proportions": "stretched",
    "orientation": "upright",
    "frame": "first",
}
"""The one way from a file to pixels that this runner knows; see `tenfold_runner.images`."""


@dataclass(frozen=True)
class Figures:
    """One network in numbers.

    Attributes:
        params: numbers in all its tensors.
        macs: multiply-adds for one image.
        size_bytes: of its ONNX file; None if unknown.
        accuracy: percent of the test images, in [0, 100]; None if unknown.
        latency_ms: for one image on the machine that made it; None if unknown.
        bits: that a weight is stored in, of most layers.
    """

    params: int
    macs: int
    size_bytes: int | None
    accuracy: float | None
    latency_ms: float | None
    bits: int = 32


@dataclass(frozen=True)
class Card:
    """The card of a package.

    Attributes:
        name: of the package.
        version: of the package.
        network: architecture that was compressed.
        classes: one name an output.
        shape: (channels, height, width) the network takes.
        mean: one value a channel, in units of ``x / 255``.
        std: one value a channel.
        before: the network as it was.
        after: the network in this package.
        images: what it was trained on.
        content: all of it, as JSON values.
    """

    name: str
    version: str
    network: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    before: Figures
    after: Figures
    images: str
    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Card:
        """The card in the file `path`.

        Raises:
            PackageError: it is missing, broken, of another format, or asks for another way of reading images.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            _check(path, content)
            channels, height, width = (int(size) for size in content["input"])
            return cls(
                name=str(content["name"]),
                version=str(content["version"]),
                network=str(content["network"]),
                classes=tuple(str(name) for name in content["classes"]),
                shape=(channels, height, width),
                mean=tuple(float(value) for value in content["mean"]),
                std=tuple(float(value) for value in content["std"]),
                before=Figures(**content["before"]),
                after=Figures(**content["after"]),
                images=str(content["images"]),
                content=content,
            )
        except OSError as error:
            cause = error.strerror or str(error)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            cause = f"it is no card ({error!r})"
        raise PackageError(f"cannot read {path}: {cause}; get the package again")

    @property
    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """Rows (what, original, this package) for people."""
        return (
            self._row("accuracy", "accuracy", "{:.2f} %"),
            self._row("size", "size_bytes", "{:,} bytes"),
            self._row("parameters", "params", "{:,}"),
            self._row("multiply-adds", "macs", "{:,}"),
            self._row("latency where it was made", "latency_ms", "{:.3f} ms"),
            *([self._row("weights", "bits", "{} bits")] if self.before.bits != self.after.bits else []),
        )

    def _row(self, what: str, figure: str, form: str) -> tuple[str, str, str]:
        """A figure of both networks."""
        values = [getattr(figures, figure) for figures in (self.before, self.after)]
        before, after = ("unknown" if value is None else form.format(value) for value in values)
        return what, before, after


def _check(path: Path, content: dict[str, Any]) -> None:
    """Refuse what this runner would read wrongly."""
    if content["format"] != CARD_FORMAT:
        raise PackageError(
            f"{path} has format {content['format']}, this program reads {CARD_FORMAT}; get the package again"
        )
    for key, value in READING.items():
        if content["reading"][key] != value:
            raise PackageError(
                f"{path} wants images read with {key}={content['reading'][key]!r}, this program knows "
                f"{value!r} alone; get a package whose program and card are of one version"
            )
