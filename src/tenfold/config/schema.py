"""The fields of a schema of settings as data: what a form, a manual or a command line shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tenfold.config.pages import EXPERT, NEEDS, PAGES, place_of
from tenfold.core.errors import TenfoldError, UnknownNameError, nearest

__all__ = ["Setting", "explained", "settings_of"]


@dataclass(frozen=True)
class Setting:
    """One setting as a form, a manual or a command line shows it.

    Attributes:
        name: as it stands in a job file.
        help: what it means.
        kind: "text", "path", "whole", "number", "flag", "choice", "numbers" or "budget".
        required: whether it has no default.
        default: as JSON; None where it is found out when the job starts.
        choices: all there are, for a choice.
        low: smallest value, or None.
        high: largest value, or None.
        page: where a form shows it.
        expert: whether the default serves most users.
        needs: others, and the values of theirs with which it means something; None for any but 0.
    """

    name: str
    help: str
    kind: str
    required: bool
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    page: str = ""
    expert: bool = False
    needs: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it means something beside `values`, by name as in `as_dict`."""
        return all(
            bool(values[name]) if wanted is None else values[name] in wanted
            for name, wanted in self.needs.items()
            if name in values
        )


def settings_of(schema: type[BaseModel]) -> tuple[Setting, ...]:
    """All settings of a schema, in the order in which they are shown.

    Example:
        >>> from tenfold.config import CompressSettings
        >>> [setting.low for setting in settings_of(CompressSettings) if setting.name == "epochs"]
        [0]
    """
    return tuple(
        _setting(name, schema.model_fields[name]) for name in sorted(schema.model_fields, key=place_of)
    )


def _setting(name: str, info: FieldInfo) -> Setting:
    """One field, as data."""
    kind, choices = _kind(name, info.annotation)
    limits: list[Any] = info.metadata
    lows = [value for name in ("ge", "gt") for value in _bounds(limits, name)]
    highs = _bounds(limits, "le")
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return Setting(
        name=name,
        help=info.description or "",
        kind=kind,
        required=info.is_required(),
        default=default,
        choices=choices,
        low=lows[0] if lows else None,
        high=highs[0] if highs else None,
        page=list(PAGES)[place_of(name)[0]],
        expert=name in EXPERT,
        needs=NEEDS.get(name, {}),
    )


def _bounds(limits: list[Any], name: str) -> list[float]:
    """The bounds of that kind ("ge", "gt", "le") that a field has."""
    return [getattr(limit, name) for limit in limits if hasattr(limit, name)]


def _kind(name: str, annotation: Any) -> tuple[str, tuple[Any, ...]]:
    """What a field holds, and its choices."""
    if name == "budget":
        return "budget", ()
    parts = [annotation, *get_args(annotation)]
    nested = [
        inner for part in parts for inner in get_args(part)
    ]  # as in Annotated[Literal[...], ...] | None
    for part in (*parts, *nested):
        if getattr(part, "__origin__", None) is Literal:
            return "choice", get_args(part)
    simple = {bool: "flag", int: "whole", float: "number", str: "text", Path: "path"}
    found = [simple[part] for part in parts if part in simple]
    return (found[0] if found else "numbers"), ()


def explained(schema: type[BaseModel], error: ErrorDetails) -> TenfoldError:
    """One error of pydantic's as one of ours: asked, met, do."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, TenfoldError):
        return cause
    known = {setting.name: setting for setting in settings_of(schema)}
    name = str(error["loc"][0])
    if name not in known:
        return UnknownNameError("setting", name, known)
    setting = known[name]
    if error["type"] == "missing":
        return TenfoldError(f"{name} is not given: pass --{name.replace('_', '-')}: {setting.help}")
    if setting.kind == "choice":
        choices = [str(choice) for choice in setting.choices]
        if setting.choices and isinstance(setting.choices[0], str):
            return UnknownNameError(name, str(error["input"]), choices)
        return TenfoldError(f"{name} = {error['input']!r}: {nearest(str(error['input']), choices)}")
    message = error["msg"][:1].lower() + error["msg"][1:]
    return TenfoldError(f"{name} = {error['input']!r}: {message}; it means: {setting.help}")
