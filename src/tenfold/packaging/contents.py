"""What every package holds: the network, and the card that says what it is and how it wants its images."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tenfold.core.errors import ExportError, RunError
from tenfold.core.report import Report
from tenfold.deploy.runtime import session
from tenfold.runs.directory import RunDirectory
from tenfold_runner.card import CARD, CARD_FORMAT, READING
from tenfold_runner.package import MODEL

__all__ = ["CARD", "MODEL", "Contents", "card_text"]

_LONGEST_NAME = 64


@dataclass(frozen=True)
class Contents:
    """A network to pack, and what is known about it.

    Attributes:
        model: ONNX, input ``image`` (batch, channels, height, width), float32; output (batch, classes).
        card: JSON values, without dates or paths, so that packages can be compared:
            "format": 1; "name", "version": as the user wants them;
            "network": architecture it was made of;
            "classes": names, in the order of the output;
            "input": [channels, height, width]; "mean", "std": one value a channel for ``x / 255``;
            "reading": how a file becomes 8-bit pixels, as `tenfold.data.decode` does it:
            "colour" ("grey" or "rgb": Pillow's modes L and RGB, taken before the size is changed),
            "resize" ("bilinear": Pillow's), "proportions" ("stretched": they are not kept), "orientation"
            ("upright": turned as EXIF says), "frame" ("first", of animations);
            "before", "after": params, macs, size_bytes, accuracy (percent, or None), latency_ms, bits (that
            a weight is stored in, 32 or 8);
            "images": the data set it was trained on.
    """

    model: bytes
    card: dict[str, Any]

    @classmethod
    def of(
        cls, run: RunDirectory, *, name: str | None = None, version: str = "1.0.0", int8: bool = False
    ) -> Contents:
        """What a finished run has to ship.

        Args:
            run: its directory; model.onnx, model.json and report.json are read.
            name: what the package is called; None takes ARCHITECTURE-IMAGES.
            version: of the package, a text of the user's choice.
            int8: take model.int8.onnx, and its figures from int8.json.

        Raises:
            RunError: the run is not finished, a file is broken or missing or they do not fit together.
            ExportError: the ONNX file cannot be run, or `name` or `version` cannot be used.
        """
        report, metadata = run.read_report(), _metadata(run)
        path = run.int8_onnx if int8 else run.onnx
        model = _model(run, path)
        after = {**asdict(report.after), "bits": 32}
        images = _data_name(report)
        name = f"{_plain(str(metadata['arch']))}-{_plain(images)}" if name is None else name
        card = {
            "format": CARD_FORMAT,
            "name": _checked("name", name),
            "version": _checked("version", version),
            "network": metadata["arch"],
            **{key: metadata[key] for key in ("classes", "input", "mean", "std")},
            "reading": {"colour": "grey" if metadata["input"][0] == 1 else "rgb", **READING},
            "before": {**asdict(report.before), "bits": 32},
            "after": {**after, **_int8_figures(run, len(model))} if int8 else after,
            "images": images,
        }
        _check_model(run, path, model, card)
        return cls(model, card)

    @property
    def file_name(self) -> str:
        """The name in letters, digits, dots and hyphens that every file system takes.

        Example:
            >>> Contents(b"", {"name": "Größte Fische 2"}).file_name
            'Gr-te-Fische-2'
        """
        return _plain(self.card["name"])


def card_text(card: dict[str, Any]) -> str:
    """The text of card.json."""
    return json.dumps(card, indent=1, ensure_ascii=False) + "\n"


def _metadata(run: RunDirectory) -> dict[str, Any]:
    """What model.json says about the images."""
    try:
        match json.loads(run.model.read_text(encoding="utf-8")):
            case {
                "metadata": {
                    "arch": str(),
                    "classes": [*_],
                    "input": [int(), int(), int()],
                    "mean": [*_],
                    "std": [*_],
                } as found
            }:
                return dict(found)
        cause = "it does not say what the network takes and gives"
    except OSError as error:
        cause = error.strerror or str(error)
    except ValueError as error:
        cause = f"it is no JSON ({error})"
    raise RunError(f"cannot pack {run.path}: {run.model.name}: {cause}; restore it or run the job again")


def _model(run: RunDirectory, path: Path) -> bytes:
    """An ONNX file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(
            f"cannot pack {run.path}: {path.name}: {error.strerror or error}; make it with: {_way(run, path)}"
        ) from error


def _way(run: RunDirectory, path: Path) -> str:
    """The command that makes an ONNX file."""
    return f"tenfold export {run.path}" + (" --int8" if path == run.int8_onnx else "")


def _int8_figures(run: RunDirectory, size_bytes: int) -> dict[str, Any]:
    """What int8.json says about the file of that size."""
    try:
        found = json.loads(run.int8_report.read_text(encoding="utf-8"))["files"]["int8"]
        figures = {key: found[key] for key in ("size_bytes", "accuracy", "latency_ms")}
        cause = (
            "" if found["size_bytes"] == size_bytes else f"it is about a file of {found['size_bytes']} bytes"
        )
    except OSError as error:
        cause = error.strerror or str(error)
    except (ValueError, KeyError, TypeError) as error:
        cause = f"it does not say what was measured ({error!r})"
    if cause:
        way = _way(run, run.int8_onnx)
        raise RunError(
            f"cannot pack {run.path}: {run.int8_report.name}: {cause}; make both again with: {way}"
        )
    return {**figures, "bits": 8}


def _check_model(run: RunDirectory, path: Path, model: bytes, card: dict[str, Any]) -> None:
    """Refuse a file that does not run, or is another network's than the card is about."""
    try:
        opened = session(model, threads=1)
    except ExportError as error:
        raise ExportError(f"cannot pack {path}: {error}") from error
    shapes = [list(value.shape) for value in (*opened.get_inputs(), *opened.get_outputs())]
    wanted = [card["input"], [len(card["classes"])]]
    if [shape[1:] for shape in shapes] != wanted or any(isinstance(shape[0], int) for shape in shapes):
        raise RunError(
            f"cannot pack {run.path}: {path.name} takes and gives {shapes}, model.json says {wanted} "
            f"behind a batch of any size; make it again with: {_way(run, path)}"
        )


def _data_name(report: Report) -> str:
    """The data set, without the place where it lay."""
    name = PurePosixPath(str(report.settings.get("data", "images")).replace("\\", "/")).name
    return name.removesuffix(".zip") or "images"


def _plain(text: str) -> str:
    """Nothing but ASCII letters, digits, dots and hyphens, and not a dot in front."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:_LONGEST_NAME] or "network"


def _checked(what: str, text: str) -> str:
    """A text a user chose, if it is one line of a bearable length."""
    if not text.strip() or len(text) > _LONGEST_NAME or not text.isprintable():
        raise ExportError(
            f"{what} {text!r}: give one line of 1 to {_LONGEST_NAME} characters that can be printed"
        )
    return text.strip()
