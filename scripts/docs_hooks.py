"""What the site does beyond its generator: formulas become MathML as it is built, and need no script."""

from __future__ import annotations

import html
import logging
import re

from latex2mathml.converter import convert

__all__ = ["formula", "on_page_content"]

_INLINE = re.compile(r'<span class="arithmatex">\\\((.+?)\\\)</span>', re.DOTALL)
_DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.+?)\\\]\s*</div>', re.DOTALL)
_LOG = logging.getLogger("mkdocs.hooks.formulas")


def formula(latex: str, *, display: bool) -> str:
    """The MathML of a formula.

    A command that the converter does not know is warned of, which a strict build refuses.

    Example:
        >>> formula("x", display=False)
        '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>'
    """
    made: str = convert(latex, display="block" if display else "inline")
    if "\\" in made or "<mi>&</mi>" in made:
        _LOG.warning("the formula %r has a command that MathML is not made of", latex)
    return made


def on_page_content(text: str, **_: object) -> str:
    """Replace what the formula extension marked."""
    text = _DISPLAY.sub(
        lambda m: f'<div class="formula">{formula(html.unescape(m[1]), display=True)}</div>', text
    )
    return _INLINE.sub(lambda m: formula(html.unescape(m[1]), display=False), text)
