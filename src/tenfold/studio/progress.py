"""How far a job is, from its events.jsonl and its log, read as they grow."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["EventTail", "Meter", "Progress", "last_lines"]

_MOST_BYTES = 1 << 20  # in one go: a call must not keep a window waiting
_WINDOW_S = 60.0  # of the latest events, by which the speed is told


class EventTail:
    r"""What was added to a file of JSON lines since it was last looked at.

    A last line that is not whole yet is left for the next time. A file that was made anew, or is shorter than
    what was read of it, is read from its beginning; a line that is no JSON object is passed over.

    Attributes:
        anew: whether the last reading began at the beginning.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "events.jsonl"
        ...     tail = EventTail(path)
        ...     before = tail.read()
        ...     _ = path.write_text('{"done": 1}\n{"do')
        ...     print(before, tail.read(), tail.read())
        [] [{'done': 1}] []
    """

    def __init__(self, path: Path) -> None:
        """Begin before the first line; the file need not be there."""
        self.anew = False
        self._path = path
        self._offset = 0
        self._file = 0

    def read(self) -> list[dict[str, Any]]:
        """The events that are new, in order; at most a mebibyte of them. None if the file cannot be read."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                self.anew = found.st_ino != self._file or found.st_size < self._offset
                if self.anew:
                    self._file, self._offset = found.st_ino, 0
                file.seek(self._offset)
                data = file.read(_MOST_BYTES)
        except OSError:
            self.anew = False
            return []
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == _MOST_BYTES:
            whole = data  # no event is as long: it is passed over
        self._offset += len(whole)
        return [event for line in whole.splitlines() if (event := _event(line)) is not None]


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        phase: "fit", "recover", ... as in events.jsonl; empty before the first.
        done: steps of it that are done.
        total: steps that it has.
        left_s: seconds until it ends, at the speed of the last minute; None while that is not known. It does
            not hold the phases that come after.
        phases: all so far, in order.
    """

    phase: str = ""
    done: int = 0
    total: int = 0
    left_s: float | None = None
    phases: tuple[str, ...] = ()


class Meter:
    """The progress of one job.

    Attributes:
        events: all that were read, of earlier processes of the job too.
    """

    def __init__(self, path: Path, since: float) -> None:
        """Of the events in `path`, those later than `since` (seconds since 1970) tell the speed."""
        self.events: list[dict[str, Any]] = []
        self._tail = EventTail(path)
        self._since = since

    def read(self, now: float) -> Progress:
        """Look what has come, and say how far it is at the time `now`."""
        new = self._tail.read()
        self.events = new if self._tail.anew else self.events + new
        steps = [event for event in self.events if _is_step(event)]
        if not steps:
            return Progress()
        last = steps[-1]
        return Progress(
            phase=last["phase"],
            done=last["done"],
            total=last["total"],
            left_s=self._left_s(steps, now),
            phases=tuple(dict.fromkeys(event["phase"] for event in steps)),
        )

    def _left_s(self, steps: list[dict[str, Any]], now: float) -> float | None:
        """Seconds to the end of the phase."""
        last = first = steps[-1]
        for event in reversed(steps):
            same = (
                event["phase"] == last["phase"] and event["done"] <= first["done"]
            )  # not before a step back
            if not same or event["time"] < max(self._since, last["time"] - _WINDOW_S):
                break
            first = event
        done, seconds = last["done"] - first["done"], last["time"] - first["time"]
        if done <= 0 or seconds <= 0:
            return None
        rest: float = (last["total"] - last["done"]) * seconds / done - (now - last["time"])
        return max(0.0, rest)


def last_lines(path: Path, most_bytes: int = 1 << 16) -> str:
    """The end of a text, from the beginning of a line; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            data = file.read(most_bytes)
    except OSError:
        return ""
    cut = data.find(b"\n") + 1 if size > most_bytes else 0
    return data[cut:].decode("utf-8", "replace")


def _event(line: bytes) -> dict[str, Any] | None:
    """A line, if it is a JSON object."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _is_step(event: dict[str, Any]) -> bool:
    """Whether it tells of progress."""
    numbers = all(isinstance(event.get(name), int) for name in ("done", "total"))
    return numbers and isinstance(event.get("phase"), str) and isinstance(event.get("time"), int | float)
