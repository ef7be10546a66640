"""Command-line options, made from the settings schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from tenfold.config import NetworkSettings, Setting, settings_of

__all__ = ["given", "takes_settings"]

_METAVARS = {
    "text": "TEXT",
    "path": "PATH",
    "whole": "INTEGER",
    "number": "NUMBER",
    "numbers": "NUMBERS",
    "budget": "NAME=NUMBER",
}
_TYPES: dict[str, Any] = {"flag": bool | None, "budget": list[str] | None}


def takes_settings(schema: type[NetworkSettings]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each setting of `schema`, which it receives by name as ``**values``.

    An option that was not given is None; the values are texts, flags or lists, for `NetworkSettings.make`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        made = [_parameter(setting) for setting in settings_of(schema)]
        command.__signature__ = signature.replace(parameters=[*own, *made])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in [*own, *made]}
        return command

    return decorate


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the options that were given."""
    return {name: value for name, value in values.items() if value not in (None, [])}


def _parameter(setting: Setting) -> inspect.Parameter:
    """One option as a parameter of a command."""
    name = setting.name.replace("_", "-")
    flags = f"--{name}/--no-{name}" if setting.kind == "flag" else f"--{name}"
    option = typer.Option(
        flags,
        help=_help(setting),
        metavar=None if setting.kind == "flag" else _metavar(setting),
        show_default=False,
        rich_help_panel=setting.page,
    )
    kind = _TYPES.get(setting.kind, str | None)
    annotation: Any = Annotated[kind, option]
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _metavar(setting: Setting) -> str:
    """What stands behind the name of the option in the help."""
    return "|".join(map(str, setting.choices)) if setting.choices else _METAVARS[setting.kind]


def _help(setting: Setting) -> str:
    """What the setting means, its range and its default."""
    ends = (("at least", setting.low), ("at most", setting.high))
    notes = [f"{word} {value:g}" for word, value in ends if value is not None]
    if setting.default not in (None, {}, ()):
        notes.append(f"default {setting.default}")
    return setting.help + (f" ({', '.join(notes)})" if notes else "")
