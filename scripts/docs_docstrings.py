"""How docstrings are read for the API page: an "Example" is code that runs, like several of them."""

from __future__ import annotations

import re

import griffe

__all__ = ["Examples"]


class Examples(griffe.Extension):
    """Google's style knows a section "Examples" alone; "Example" would be taken for a remark in prose."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Rename the section."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"(?m)^Example:$", "Examples:", obj.docstring.value)
