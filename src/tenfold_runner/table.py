"""A folder of images as a table: one CSV line an image."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tenfold_runner.classify import Answer, Classifier
from tenfold_runner.errors import ImageError, RunnerError
from tenfold_runner.images import images_below

__all__ = ["Progress", "Row", "classify_folder", "write_table"]


@dataclass(frozen=True)
class Row:
    """One image of a folder.

    Attributes:
        name: its path, relative to the folder.
        answer: what the network says; None if the image cannot be read.
        error: why not; empty otherwise.
    """

    name: str
    answer: Answer | None
    error: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a folder is.

    Attributes:
        done: images that were looked at.
        total: images in all.
        row: the last one.
        failed: images that could not be read.
    """

    done: int
    total: int
    row: Row
    failed: int


def classify_folder(classifier: Classifier, folder: Path, top: int = 1) -> Iterator[Progress]:
    """Classify every image in `folder` and below it; one that cannot be read does not stop the others.

    Raises:
        ImageError: there is no image.
    """
    paths, failed = images_below(folder), 0
    for done, path in enumerate(paths, start=1):
        name = path.relative_to(folder).as_posix()
        try:
            row = Row(name, classifier.classify(path, top))
        except ImageError as error:
            row, failed = Row(name, None, str(error)), failed + 1
        yield Progress(done, len(paths), row, failed)


def write_table(classifier: Classifier, folder: Path, table: Path, top: int = 1) -> Iterator[Progress]:
    """As `classify_folder`, into the CSV file `table`, which is there whole once the last image is done.

    Whoever stops taking leaves an older file as it was, and nothing else.

    Columns: file; class and probability, `top` times; milliseconds; error.

    Raises:
        ImageError: there is no image.
        RunnerError: the file cannot be written.
    """
    part = table.with_name(f".{secrets.token_hex(8)}.part")  # of a length that every file system takes
    try:
        # on Linux a name may be no text; its bytes come out as they are
        with part.open("x", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", *_heads(top), "milliseconds", "error"])
            for progress in classify_folder(classifier, folder, top):
                writer.writerow(_cells(progress.row, top))
                yield progress
            file.flush()
            os.fsync(file.fileno())
        part.replace(table)
    except OSError as error:
        raise RunnerError(
            f"cannot write {table}: {error.strerror or error}; free space or choose another file"
        ) from error
    finally:
        with suppress(OSError):  # it was renamed, or never made
            part.unlink()


def _heads(top: int) -> list[str]:
    """The names of the columns of the classes."""
    return [f"{kind}_{place}" if top > 1 else kind for place in range(1, top + 1) for kind in _PAIR]


_PAIR = ("class", "probability")


def _cells(row: Row, top: int) -> list[str]:
    """The values of a line."""
    if row.answer is None:
        return [row.name, *[""] * (2 * top), "", row.error]
    pairs = [cell for name, chance in row.answer.ranked for cell in (name, f"{chance:.6f}")]
    return [row.name, *pairs, *[""] * (2 * top - len(pairs)), f"{row.answer.latency_ms:.4f}", ""]
