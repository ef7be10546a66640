"""What the pages' colours are, for figures that stand outside a page."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["page_colours", "page_variables"]

_ROOT = re.compile(r":root \{(.*?)\n\s*\}", re.DOTALL)


def page_variables(*, dark: bool) -> str:
    """The variables of a page in light or in dark, as its style sheet has them."""
    style = files("tenfold.reporting").joinpath("templates/page.css").read_text(encoding="utf-8")
    in_light, in_dark, *_ = _ROOT.findall(style)
    return str(in_dark if dark else in_light)


def page_colours(*, dark: bool) -> dict[str, str]:
    """Those that are colours, without the dashes before them.

    Example:
        >>> page_colours(dark=False)["paper"]
        '#ffffff'
    """
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", page_variables(dark=dark)))
