"""Collect the texts of the desktop program, bring the catalogues up to date, and compile them.

A text that has no translation yet is listed; it is then shown in English.
"""

import ast
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tenfold.config import InspectSettings, settings_of
from tenfold.reporting.measures import MEASURES
from tenfold.studio import curves, form, manual, packages, wording
from tenfold.studio.language import LANGUAGES
from tenfold.studio.ui import login, new_job, shell

ROOT = Path(__file__).parent.parent
STUDIO = ROOT / "src" / "tenfold" / "studio"
_MADE = datetime(2026, 11, 24, tzinfo=timezone.utc)  # the same texts give the same bytes


def texts() -> set[str]:
    """All texts that are looked up: those that stand in the code as such, and those that are data."""
    found = {
        text
        for path in STUDIO.rglob("*.py")
        for text in _in_code(ast.parse(path.read_text(encoding="utf-8")))
    }
    return {text for text in found | set(_data()) if text}


def _in_code(tree: ast.Module) -> Iterator[str]:
    """The texts in calls of `_`, those inside of f-strings too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
            yield from (part.value for part in node.args if isinstance(part, ast.Constant))


def _data() -> Iterator[str]:
    """Texts that a table or the settings schema holds."""
    for schema in {*form.METHODS.values(), InspectSettings}:
        for setting in settings_of(schema):
            yield from (setting.help, setting.page, form.label(setting.name))
    yield from (form.NEEDED, manual.LEAD)
    yield from packages.TARGETS.values()
    yield from (*wording.PHASES.values(), *wording.STATES.values())
    yield from (measure.title for measure in MEASURES)
    yield from curves.TITLES.values()
    yield from (title for title, _page in shell.PAGES.values())
    yield from new_job.TITLES.values()
    for screen in (login.FirstScreen, login.LoginScreen, login.LockScreen, login.ChangeScreen):
        yield from (screen.title, screen.lead)


def folder(code: str) -> Path:
    """Where the catalogue of a language is."""
    return STUDIO / "locale" / code / "LC_MESSAGES"


def translations(code: str) -> dict[str, str]:
    """What the catalogue of a language holds: text -> translation; empty for one that is missing."""
    path = folder(code) / "studio.po"
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def main() -> None:
    """Update and compile all catalogues."""
    for code in LANGUAGES:
        known = translations(code)
        catalogue = Catalog(locale=code, project="tenfold", creation_date=_MADE, revision_date=_MADE)
        for text in sorted(texts()):
            catalogue.add(text, text if code == "en" else known.get(text, ""))
        folder(code).mkdir(parents=True, exist_ok=True)
        with (folder(code) / "studio.po").open("wb") as file:
            write_po(file, catalogue, width=110, sort_output=True)
        with (folder(code) / "studio.mo").open("wb") as file:
            write_mo(file, catalogue)
        missing = [message.id for message in catalogue if message.id and not message.string]
        sys.stdout.write(f"{code}: {len(catalogue)} texts, {len(missing)} without a translation\n")
        sys.stdout.writelines(f"  {text!r}\n" for text in missing)


if __name__ == "__main__":
    main()
