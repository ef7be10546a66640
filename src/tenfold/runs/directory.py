"""The folder of one run: which file is which, and how each is read and written."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from tenfold.core.atomic import write_text
from tenfold.core.errors import PlanError, RunError
from tenfold.core.plan import Plan
from tenfold.core.report import Report

__all__ = ["RunDirectory"]

_FILES = (
    "job.toml",
    "plan.json",
    "events.jsonl",
    "model.safetensors",
    "model.json",
    "model.onnx",
    "report.json",
)


class RunDirectory:
    """A run on the disk. Make one with `create` or `open`.

    Attributes:
        path: the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = RunDirectory.create(Path(folder) / "first")
        ...     run.append_event({"epoch": 1})
        ...     list(run.events())
        [{'epoch': 1}]
    """

    def __init__(self, path: str | Path) -> None:
        """Name the folder; nothing is looked at or made."""
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path) -> RunDirectory:
        """Make the folder `path`, and its parents, for a new run; an empty one is taken as it is.

        Raises:
            RunError: `path` is a file, a folder that is not empty, or cannot be made; nothing is left over.
        """
        path = Path(path)
        try:
            if path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise RunError(f"cannot start a run in {path}: it exists; choose another --out or remove it")
            _make_folders(path)
        except OSError as error:
            raise RunError(
                f"cannot make {path}: {error.strerror or error}; choose another --out where you may write"
            ) from error
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """The run that is in the folder `path`.

        Raises:
            RunError: there is no such folder, or it holds none of the files of a run.
        """
        path = Path(path)
        if not path.is_dir():
            met = "it is a file" if path.exists() else "there is no such folder"
            raise RunError(f"cannot open the run {path}: {met}; give the --out of an earlier run")
        if not any((path / name).is_file() for name in _FILES):
            raise RunError(
                f"cannot open the run {path}: it holds none of {', '.join(_FILES)}; "
                "give the --out of an earlier run"
            )
        return cls(path)

    def __repr__(self) -> str:
        """The call that gives it."""
        return f"RunDirectory({str(self.path)!r})"

    @property
    def job(self) -> Path:
        """All settings, defaults filled in."""
        return self.path / "job.toml"

    @property
    def plan(self) -> Path:
        """Layer -> scheme and rank."""
        return self.path / "plan.json"

    @property
    def events_file(self) -> Path:
        """One JSON object a line, as things happened."""
        return self.path / "events.jsonl"

    @property
    def weights(self) -> Path:
        """Parameters and buffers of the compressed network."""
        return self.path / "model.safetensors"

    @property
    def model(self) -> Path:
        """What rebuilds the compressed network without its code."""
        return self.path / "model.json"

    @property
    def onnx(self) -> Path:
        """The exported network."""
        return self.path / "model.onnx"

    @property
    def int8_onnx(self) -> Path:
        """The exported network in 8 bits, if that was asked for."""
        return self.path / "model.int8.onnx"

    @property
    def int8_report(self) -> Path:
        """What was measured of it."""
        return self.path / "int8.json"

    @property
    def report(self) -> Path:
        """What was measured."""
        return self.path / "report.json"

    @property
    def study(self) -> Path:
        """The trials of a search of ranks, a database of Optuna's."""
        return self.path / "study.db"

    @property
    def search(self) -> Path:
        """What such a search has found so far."""
        return self.path / "search.json"

    @property
    def checkpoint(self) -> Path:
        """Folder of what finished phases left, and of the state of the present one."""
        return self.path / "checkpoint"

    @property
    def lock(self) -> Path:
        """There while a process works in the folder."""
        return self.path / ".lock"

    @property
    def resumable(self) -> bool:
        """Whether something was computed that another process can go on from."""
        return self.job.is_file() and (self.study.is_file() or any(self.checkpoint.glob("*.pt")))

    def write_plan(self, plan: Plan) -> None:
        """Write plan.json.

        Raises:
            RunError: it cannot be written.
        """
        write_text(self.plan, plan.to_json())

    def read_plan(self) -> Plan:
        """Read plan.json.

        Raises:
            RunError: it is missing or cannot be read.
            PlanError: it holds no plan.
        """
        try:
            return Plan.from_json(_read(self.plan))
        except PlanError as error:
            raise PlanError(f"{self.plan}: {error}") from error

    def write_report(self, report: Report) -> None:
        """Write report.json.

        Raises:
            RunError: it cannot be written.
        """
        write_text(self.report, report.to_json())

    def read_report(self) -> Report:
        """Read report.json.

        Raises:
            RunError: it is missing, cannot be read or holds no report.
        """
        text = _read(self.report)
        try:
            return Report.from_json(text)
        except RunError as error:
            raise RunError(f"{self.report}: {error}") from error

    def append_event(self, event: Mapping[str, Any]) -> None:
        """Add one line to events.jsonl, in full or not at all; a line that a kill cut short goes first.

        Raises:
            RunError: it cannot be written, for instance on a full disk.
        """
        line = (json.dumps(dict(event)) + "\n").encode()
        try:
            _append(self.events_file, line)
        except OSError as error:
            raise RunError(
                f"cannot write {self.events_file}: {error.strerror or error}; "
                "free space or choose another folder"
            ) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """The events in order; none if there is no file yet. A last line that a kill cut short is left out.

        Raises:
            RunError: the file cannot be read, or a line that ends properly is no JSON object.
        """
        if not self.events_file.exists():
            return
        text = _read(self.events_file)
        for number, line in enumerate(text.split("\n")[:-1], start=1):
            yield _read_event(self.events_file, number, line)


def _make_folders(path: Path) -> None:
    """Make `path` and what is missing above it, or nothing at all."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=folder != path)  # another run may make its own beside this one
            made.append(folder)
    except OSError:
        for folder in reversed(made):
            with suppress(OSError):  # it is in use by another run
                folder.rmdir()
        raise


def _read(path: Path) -> str:
    """The text of a file of the run."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = (isinstance(error, OSError) and error.strerror) or str(error)
        raise RunError(f"cannot read {path}: {cause}; run the job again or restore the file") from error


def _append(path: Path, line: bytes) -> None:
    """Put `line` after the last whole line of the file, or leave the whole lines as they were."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        end = _end_of_whole_lines(file)
        file.truncate(end)
        file.seek(end)
        try:
            written = file.write(line)
        except OSError:
            file.truncate(end)
            raise
        if written != len(line):  # a disk that fills up takes a part and reports no error
            file.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _end_of_whole_lines(file: FileIO) -> int:
    """Where the last newline ends."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(size - 1)
    if file.read(1) == b"\n":  # nearly always: spares reading it all
        return size
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def _read_event(path: Path, number: int, line: str) -> dict[str, Any]:
    """One line of events.jsonl, checked."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError as error:
        raise RunError(f"cannot read {path}, line {number}: {error.msg}; remove that line") from error
    if not isinstance(event, dict):
        raise RunError(
            f"cannot read {path}, line {number}: {line[:40]!r} is no JSON object; remove that line"
        )
    return event
