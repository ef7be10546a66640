"""Which passphrases protect a network."""

from __future__ import annotations

from tenfold.core.errors import ExportError

__all__ = ["LONGEST", "SHORTEST", "check_passphrase"]

SHORTEST = 8
LONGEST = 1024
"""Characters of a passphrase."""


def check_passphrase(first: str, again: str) -> str:
    r"""The passphrase that was typed twice.

    Raises:
        ExportError: the two differ, it is too short or too long, or it is more than one line, of which a
            program that asks for it would take the first.

    Example:
        >>> check_passphrase("five random words", "five random words")
        'five random words'
        >>> check_passphrase("five random words", "five random word")
        Traceback (most recent call last):
        ...
        tenfold.core.errors.ExportError: the two passphrases differ: start again
    """
    if first != again:
        raise ExportError("the two passphrases differ: start again")
    if len(first) < SHORTEST:
        raise ExportError(
            f"a passphrase of {len(first)} characters: give at least {SHORTEST}, such as five random words"
        )
    if len(first) > LONGEST:
        raise ExportError(f"a passphrase of {len(first)} characters: give at most {LONGEST}")
    if "\n" in first or "\r" in first:
        raise ExportError("a passphrase of more than one line: give one line")
    return first
