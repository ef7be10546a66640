"""What a page is made of: sections of tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

from tenfold.plots.theme import Drawing

__all__ = ["Figure", "Page", "Section", "Table"]


@dataclass(frozen=True)
class Figure:
    """A figure and the sentence below it.

    Attributes:
        drawing: of `tenfold.plots`, where names are escaped; goes into the page as it is.
        caption: one sentence.
    """

    drawing: Drawing
    caption: str
    kind: str = "figure"


@dataclass(frozen=True)
class Table:
    """Rows of texts.

    Attributes:
        header: a text a column.
        rows: as many texts each.
        texts: leading columns that hold words, not figures.
        caption: one sentence; may be empty.
        marked: numbers of rows that stand out.
        wide: whether the last column holds words too, and takes what room is left.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    caption: str = ""
    marked: frozenset[int] = frozenset()
    wide: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Section:
    """A part of a page, with its place in the table of contents."""

    name: str
    title: str
    blocks: tuple[Figure | Table, ...]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: at its top and in the title bar.
        lead: what matters most, a few sentences.
        notice: what must not be overlooked; may be empty.
        sections: those without blocks are left out.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    notice: str = ""
