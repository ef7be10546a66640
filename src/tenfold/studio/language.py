"""The language of the program: texts are looked up in gettext catalogues that ship with it."""

from __future__ import annotations

import gettext
import locale
import os
from pathlib import Path

__all__ = ["LANGUAGES", "_", "language_of_system", "use_language", "used_language"]

LANGUAGES = {"en": "English", "zh": "中文"}
"""Code -> its own name."""

_FOLDER = Path(__file__).parent / "locale"
_DOMAIN = "studio"


class _Used:
    """The one language of the process."""

    code = "en"
    texts: gettext.NullTranslations = gettext.NullTranslations()


def use_language(code: str) -> None:
    """Take all texts that are shown from now on from the catalogue of `code`; English is what the code holds.

    Raises:
        KeyError: there is no such language.
    """
    LANGUAGES[code]
    _Used.code = code
    _Used.texts = gettext.translation(_DOMAIN, _FOLDER, languages=[code], fallback=code == "en")


def used_language() -> str:
    """The code of the language in use."""
    return _Used.code


def language_of_system() -> str:
    """The language of the system where there is a catalogue for it, else English."""
    asked = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
    code = asked.partition("_")[0].lower()
    return code if code in LANGUAGES else "en"


def _(text: str) -> str:
    """`text` in the language in use.

    Example:
        >>> _("A text that no catalogue holds")
        'A text that no catalogue holds'
    """
    return _Used.texts.gettext(text) if text else ""
