"""What a window remembers from one start to the next: its size, theme and language."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
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
        splits: of panes, by their name: the share of the first one, in (0, 1).
    """

    geometry: str = ""
    zoomed: bool = False
    mode: str = "light"
    language: str = "en"
    expert: bool = False
    name: str = ""
    splits: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Remembered:
        """What is kept in `folder`; where nothing is, or what cannot be used, the defaults."""
        found = cls(language=language_of_system())
        try:
            values = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return found
        for known in fields(cls):
            if isinstance(values, dict) and type(values.get(known.name)) is type(getattr(found, known.name)):
                setattr(found, known.name, values[known.name])
        found.mode = found.mode if found.mode in ("light", "dark") else "light"
        found.language = found.language if found.language in LANGUAGES else "en"
        found.splits = {x: y for x, y in found.splits.items() if isinstance(y, float) and 0 < y < 1}
        return found

    def save(self, folder: Path) -> None:
        """Keep it; a folder that cannot be written is no reason to disturb anyone."""
        with suppress(RunError):
            write_text(folder / _FILE, json.dumps(asdict(self), indent=1) + "\n")
