"""The plain folder: the runner as source, for a device that has Python."""

from __future__ import annotations

from pathlib import Path

from tenfold.packaging.contents import CARD, MODEL, Contents, card_text
from tenfold.packaging.options import PackOptions

__all__ = ["build_folder", "put_contents"]


def build_folder(contents: Contents, folder: Path, options: PackOptions) -> None:  # noqa: ARG001
    """Put network, card and runner into `folder`."""
    put_contents(contents, folder)


def put_contents(contents: Contents, folder: Path) -> None:
    """Put network and card into `folder`."""
    (folder / MODEL).write_bytes(contents.model)
    (folder / CARD).write_text(card_text(contents.card), encoding="utf-8", newline="\n")
