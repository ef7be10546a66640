"""Values of settings, as they stand on a command line or in a job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tenfold.core.errors import BudgetError
from tenfold.core.plan import SHORT_NAMES, Budget

__all__ = ["Budgeted", "Channels", "Count", "Depth", "Input", "Names", "Size"]


def _numbers(value: object) -> object:
    """Numbers as they stand on the command line: "32x32", "0.5,0.5,0.5", or one alone."""
    if isinstance(value, str):
        return [part.strip() for part in re.split("[x,]", value)]
    return value


def _names(value: object) -> object:
    """Names as they stand on the command line: "conv1,layer1.*"."""
    return [name for name in re.split(r"[\s,]+", value) if name] if isinstance(value, str) else value


def _height_and_width(value: object) -> object:
    """A size; one number stands for a square."""
    value = _numbers(value)
    if isinstance(value, int):
        value = [value]
    return value * 2 if isinstance(value, list) and len(value) == 1 else value


def _whole(value: object) -> object:
    """A whole number as it stands on the command line."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _budget(value: object) -> object:
    """A budget as it stands on the command line, or in a job file."""
    given = value
    if isinstance(value, list | tuple):
        given = {
            name: bound for name, bound in Budget.parse(list(value)).as_dict().items() if bound is not None
        }
    if isinstance(given, Mapping):
        given = {SHORT_NAMES.get(str(name), str(name)): bound for name, bound in given.items()}
        known = list(Budget(params=1).as_dict())
        for name in given:
            if name not in known:
                raise BudgetError(f"budget {name!r}: is none of {', '.join(known)}")
        if given and all(isinstance(bound, int | float) for bound in given.values()):
            Budget(**given)
    return given


Count = Annotated[int, Field(ge=1)]
Size = Annotated[tuple[Count, Count], BeforeValidator(_height_and_width)]
Input = Annotated[tuple[Count, Count, Count], BeforeValidator(_numbers)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Depth = Annotated[Literal[1, 3], BeforeValidator(_whole)]
Channels = Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], BeforeValidator(_numbers)]
Budgeted = Annotated[dict[str, float], BeforeValidator(_budget)]
