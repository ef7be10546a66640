"""The parameter form without its widgets: what is shown, what was given, and what is wrong with it.

A form is made from the settings schema alone. A field that was not given shows what the schema, or the preset
of the method, takes for it; so a form with nothing given is the job with all defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tenfold.config import CompressSettings, LearnSettings, Setting, job_settings, read_toml, settings_of
from tenfold.config.schema import explained
from tenfold.core.atomic import write_text

__all__ = ["METHODS", "NEEDED", "Field", "Form", "label", "text_of"]

METHODS: Mapping[str, type[CompressSettings] | type[LearnSettings]] = {
    "": CompressSettings,
    **dict.fromkeys(CompressSettings.presets, CompressSettings),
    "lc": LearnSettings,
}
"""What the setting `method` may be -> the schema of its job; an empty text is no preset."""

NEEDED = "This is needed."
"""What is wrong with a field that has no default and that nothing was given for."""

_SIZES = ("resize", "input")  # numbers that people write as 32x32


@dataclass(frozen=True)
class Field:
    """One setting as the form shows it now.

    Attributes:
        setting: what it is.
        text: what stands in it.
        given: whether the user, or a job file, put it there; else it is the default.
        error: what is wrong with it; empty if nothing is.
    """

    setting: Setting
    text: str
    given: bool
    error: str


class Form:
    """What a user has filled in so far.

    Example:
        >>> form = Form()
        >>> form.set("arch", "small")
        >>> form.set("epochs", "-1")
        >>> sorted(form.errors())
        ['data', 'epochs']
        >>> form.set("method", "btd-bayes")
        >>> form.text("scheme"), form.text("cycles")
        ('btd', '3')
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        """A form with these `values` given, typed as in a job file; else with none."""
        self._method = ""
        self._given: dict[str, str] = {}
        for name, value in sorted((values or {}).items(), key=lambda item: item[0] != "method"):
            self.set(name, text_of(name, value))

    @property
    def schema(self) -> type[CompressSettings] | type[LearnSettings]:
        """Of the job that the method is carried out by."""
        return METHODS[self._method]

    def set(self, name: str, text: str) -> None:
        """Put `text` into a field. The default, or nothing, takes back what was given.

        Settings that another method has, but this one has not, are kept for when it is chosen again.

        Raises:
            KeyError: no job has a setting of that name, or there is no such method.
        """
        text = text.strip()
        if name == "method":
            METHODS[text]
            self._method = text
            return
        known = self._settings()
        if name not in known and not any(name in schema.model_fields for schema in METHODS.values()):
            raise KeyError(name)
        if not text or (name in known and text == self._default(known[name])):
            self._given.pop(name, None)
        else:
            self._given[name] = text

    def text(self, name: str) -> str:
        """What stands in a field."""
        if name == "method":
            return self._method
        return self._given.get(name) or self._default(self._settings()[name])

    def fields(self, *, expert: bool) -> tuple[Field, ...]:
        """The fields to show now: those that apply beside the others, and those for experts only if asked.

        A field for experts that something was given for, or is wrong with, is always shown.
        """
        values, errors = self._typed(), self.errors()
        return tuple(
            Field(setting, self.text(name), name in self._given, errors.get(name, ""))
            for name, setting in self._settings().items()
            if name != "method"
            and (name in errors or setting.applies(values))
            and (expert or not setting.expert or name in self._given or name in errors)
        )

    def errors(self) -> dict[str, str]:
        """What is wrong, in the schema's own words, by setting; what is about several stands under ""."""
        try:
            self.schema.model_validate(self._values())
        except ValidationError as error:
            found: dict[str, str] = {}
            for row in error.errors():
                name = str(row["loc"][0]) if row["loc"] else ""
                found.setdefault(
                    name, NEEDED if row["type"] == "missing" else str(explained(self.schema, row))
                )
            return found
        return {}

    def settings(self) -> CompressSettings | LearnSettings:
        """What the job is given.

        Raises:
            TenfoldError: something is wrong; the message names it.
        """
        return self.schema.make(self._values())

    def to_toml(self) -> str:
        """The job file, as the command line writes it.

        Raises:
            TenfoldError: something is wrong; the message names it.
        """
        return self.settings().to_toml()

    def save(self, path: Path) -> None:
        """Write the job file.

        Raises:
            TenfoldError: something is wrong with the settings, or the file cannot be written.
        """
        write_text(path, self.to_toml())

    @classmethod
    def load(cls, path: Path) -> Form:
        """A form with the settings of a job file, or of the job.toml of a run.

        Raises:
            TenfoldError: there is no such file, it is no TOML, or a setting in it is unknown or wrong.
        """
        return cls(job_settings(read_toml(path)).as_dict())

    def _settings(self) -> dict[str, Setting]:
        """Of the present job."""
        return _settings_of(self.schema)

    def _values(self) -> dict[str, Any]:
        """What was given, with the preset of the method, for the schema."""
        known = self.schema.model_fields
        values = {name: _value(name, text) for name, text in self._given.items() if name in known}
        method = {"method": self._method} if self._method else {}
        return {**self.schema.presets.get(self._method, {}), **method, **values}

    def _default(self, setting: Setting) -> str:
        """What stands in a field that nothing was given for."""
        preset = self.schema.presets.get(self._method, {})
        return text_of(setting.name, preset.get(setting.name, setting.default))

    def _typed(self) -> dict[str, Any]:
        """All values, for fields that depend on others; what is no number stays a text."""
        values: dict[str, Any] = {}
        for name, setting in self._settings().items():
            text = self.text(name)
            values[name] = text == "true" if setting.kind == "flag" else text
            if setting.kind in ("whole", "number"):
                try:
                    values[name] = float(text or 0)
                except ValueError:
                    values[name] = text
        return values


@cache
def _settings_of(schema: type[CompressSettings] | type[LearnSettings]) -> dict[str, Setting]:
    """The settings of a job by name, in the order in which they are shown."""
    return {setting.name: setting for setting in settings_of(schema)}


def label(name: str) -> str:
    """What stands before a field.

    Example:
        >>> label("recovery_steps")
        'Recovery steps'
    """
    return _LABELS.get(name, name.replace("_", " ").capitalize())


_LABELS = {
    "arch": "Network",
    "out": "Run directory",
    "plan": "Plan file",
    "keep": "Layers to keep",
    "mu": "Penalty (mu)",
    "std": "Standard deviation",
}


def text_of(name: str, value: Any) -> str:
    """A value as it stands in a field, and on the command line.

    Example:
        >>> text_of("budget", {"params": 0.2, "macs": 2e6}), text_of("resize", [32, 32])
        ('params=0.2, macs=2000000', '32x32')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_exact(number)}" for key, number in value.items())
    if isinstance(value, list | tuple):
        return ("x" if name in _SIZES else ", ").join(map(str, value))
    return str(value)


def _exact(number: float) -> str:
    """The number, without a fraction where it has none."""
    return str(int(number)) if number == int(number) else repr(number)


def _value(name: str, text: str) -> Any:
    """What the schema is given for a text."""
    return re.sub(r"\s*=\s*", "=", text).replace(",", " ").split() if name == "budget" else text
