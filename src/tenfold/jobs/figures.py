"""The figures of a run's report as pictures, for use where there is no page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenfold.core.atomic import write_bytes
from tenfold.core.errors import RunError
from tenfold.jobs.record import read_record
from tenfold.reporting.blocks import Figure
from tenfold.reporting.colours import page_colours
from tenfold.reporting.run_page import run_page
from tenfold.runs.directory import RunDirectory

__all__ = ["DOTS", "Picture", "draw_figures"]

DOTS = 100.0
"""To the inch, where nobody asks for more: that is how large the report shows its figures."""


@dataclass(frozen=True)
class Picture:
    """A figure as a file.

    Attributes:
        section: title of the part of the report that it stands in.
        caption: one sentence.
        path: of the PNG.
    """

    section: str
    caption: str
    path: Path


def draw_figures(run: Path, out: Path, *, dark: bool = False, dots: float = DOTS) -> list[Picture]:
    """Write each figure of a run's report into a folder, in the order of the report.

    Args:
        run: directory of a run, finished or not; one that has measured nothing yet has no figures.
        out: folder, made where there is none; files in it that have the name of a figure are replaced.
        dark: light lines on a dark ground.
        dots: to the inch.

    Raises:
        RunError: this is no run directory, one of its files is broken, or a picture cannot be written.
    """
    directory = RunDirectory.open(run)
    page = run_page(read_record(directory, directory.path.resolve().name))
    _make(out)
    colours = page_colours(dark=dark)
    pictures = []
    for section in page.sections:
        for figure in (block for block in section.blocks if isinstance(block, Figure)):
            path = out / f"{figure.drawing.name}.png"
            write_bytes(path, figure.drawing.png(colours, dots))
            pictures.append(Picture(section.title, figure.caption, path))
    return pictures


def _make(folder: Path) -> None:
    """Make a folder, unless it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}; name another one") from None
