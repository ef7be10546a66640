"""What a window remembers from one start to the next: its size, theme and language."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tenfold.core.atomic import write_text
from tenfold.core.errors import RunError
from tenfold.studio.language import LANGUAGES, language_of_system

__all__ = ["Remembered"]

_FILE = "window.json"


@dataclass
class Remembered:
    """The state of a window.

    Attributes:
        geometry: as Tk writes it, WIDTHxHEIGHT+X+Y; empty for the default.
        zoomed: whether it fills the screen.
        mode: "light" or "dark".
        language: one of `tenfold.studio.language.LANGUAGES`.
        expert: whether the form shows the fields for experts.
        name: of the last user.
    """

    geometry: str = ""
    zoomed: bool = False
    mode: str = "light"
    language: str = "en"
    expert: bool = False
    name: str = ""

    @classmethod
    def load(cls, folder: Path) -> Remembered:
        """What is kept in `folder`; where nothing is, or what cannot be used, the defaults."""
        found = cls(language=language_of_system())
        try:
            values = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return found
        for field in fields(cls):
            if isinstance(values, dict) and type(values.get(field.name)) is type(getattr(found, field.name)):
                setattr(found, field.name, values[field.name])
        found.mode = found.mode if found.mode in ("light", "dark") else "light"
        found.language = found.language if found.language in LANGUAGES else "en"
        return found

    def save(self, folder: Path) -> None:
        """Keep it; a folder that cannot be written is no reason to disturb anyone."""
        with suppress(RunError):
            write_text(folder / _FILE, json.dumps(asdict(self), indent=1) + "\n")
