"""Which process works on a trial, and whether it still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Worker"]

_PROC = Path("/proc")


@dataclass(frozen=True)
class Worker:
    """A process on a machine.

    Attributes:
        place: what its number is unique in: host, boot and process namespace; the host alone where the system
            does not tell the others.
        pid: its number.
        started: when it was started, in clock ticks after boot, so that a number given anew is not mistaken;
            None where the system does not tell.
    """

    place: str
    pid: int
    started: int | None

    @classmethod
    def this(cls) -> Worker:
        """The process that asks."""
        return cls(_place(), os.getpid(), _started(os.getpid()))

    def lives(self) -> bool | None:
        """Whether it still runs; None if that cannot be told from here."""
        if self.started is None or self.place != _place():
            return None
        return _started(self.pid) == self.started


@cache
def _place() -> str:
    """Of this process."""
    parts = [socket.gethostname()]
    try:
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(str((_PROC / "self/ns/pid").readlink()))
    except OSError:
        pass
    return " ".join(parts)


def _started(pid: int) -> int | None:
    """Ticks at which a process of this machine started; None if it is none, is dead, or cannot be told."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return None if state in "ZX" else int(fields[18])
