"""A page as one HTML file that needs nothing else: no script, no network, readable on paper."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from tenfold.reporting.blocks import Page

__all__ = ["to_html"]


def to_html(page: Page) -> str:
    """The text of the file; the same page gives the same text. Whatever a user named is escaped.

    Example:
        >>> from tenfold.reporting.blocks import Section, Table
        >>> text = to_html(Page("<b>", "", (Section("a", "A", (Table(("x",), (("1",),)),)),)))
        >>> "<h1>&lt;b&gt;</h1>" in text, "<script" in text
        (True, False)
    """
    sections = [section for section in page.sections if section.blocks]
    text = _environment().get_template("page.html").render(page=page, sections=sections)
    return text.encode("utf-8", "replace").decode("utf-8")  # a file name need not be text


@cache
def _environment() -> Environment:
    """Templates of this package; a name that is missing is an error."""
    return Environment(
        loader=PackageLoader("tenfold.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
