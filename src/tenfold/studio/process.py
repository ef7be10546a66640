"""A job's own process: how the command line is started, and how a process is known again after a restart."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "CHILD",
    "Process",
    "identity",
    "option_arguments",
    "own_environment",
    "program",
    "restore_environment",
]

CHILD = "command-line"
"""First argument with which a bundle's program is the command line `tenfold`, without a window."""

if sys.platform == "win32":
    _NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
    _INTERRUPT = signal.CTRL_BREAK_EVENT  # Ctrl-C cannot be sent to one group alone
else:
    _NEW_GROUP, _INTERRUPT = 0, signal.SIGINT

_left: list[subprocess.Popen[bytes]] = []  # not ours to end; a Popen that is dropped would complain


def program() -> list[str]:
    """What starts the command line `tenfold`, with this Python or out of a bundle."""
    return [sys.executable, CHILD] if getattr(sys, "frozen", False) else [sys.executable, "-m", "tenfold"]


def own_environment() -> dict[str, str]:
    """What `program` is started with.

    A bundle in one file must unpack itself anew: what this program has unpacked goes away when it ends, and
    jobs go on.
    """
    return {**os.environ, "PYINSTALLER_RESET_ENVIRONMENT": "1"}


def restore_environment() -> None:
    """In a bundle, let other programs find the system's libraries and not those of the bundle."""
    if not getattr(sys, "frozen", False):
        return
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        os.environ.pop(name, None)
        before = os.environ.pop(f"{name}_ORIG", None)  # PyInstaller keeps what was there
        if before is not None:
            os.environ[name] = before


def option_arguments(values: Mapping[str, Any]) -> list[str]:
    """Values by name, as a command line gives them; `run` is an argument and comes last.

    Example:
        >>> option_arguments({"run": "-r", "int8": True, "batch": [1, 32], "out": None})
        ['--int8', '--batch=1', '--batch=32', '--', '-r']
    """
    options: list[str] = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if name == "run" or value is None or value is False:
            continue
        many = value if isinstance(value, list | tuple) else [value]
        options += [option] if value is True else [f"{option}={one}" for one in many]
    return [*options, "--", str(values["run"])] if "run" in values else options


class Process:
    """A process that goes on without this program, with others that it started.

    Attributes:
        pid: its number; those that it starts are of one group with it.
        status: what it ended with, as `subprocess` has it; None while it runs, and where it was not started
            by this process.
    """

    def __init__(self, pid: int, known_by: str, started: subprocess.Popen[bytes] | None = None) -> None:
        """A process that is there; see `start` and `found`."""
        self.pid = pid
        self.status: int | None = None
        self._known_by = known_by
        self._started = started

    @classmethod
    def start(
        cls, arguments: list[str], *, log: Path, folder: Path, first_line: str | None = None
    ) -> Process:
        """Start one that works in `folder`; all it prints goes to the end of `log`.

        Args:
            arguments: the program, and what it is given.
            log: file.
            folder: to work in.
            first_line: all that it can read; it stands nowhere else. None for nothing.

        Raises:
            OSError: there is no such program or folder, the log cannot be written, or the system has no room.
        """
        # Messages must be in the log when a line ends, also after a kill.
        environment = {**own_environment(), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        with log.open("ab") as output, _hearing_interrupts():
            output.write(f"--- {datetime.now():%Y-%m-%d %H:%M:%S} {shlex.join(arguments)}\n".encode())
            output.flush()
            started = subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL if first_line is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=_NEW_GROUP,
            )
        if started.stdin is not None:
            # one that is over already has said why
            with suppress(BrokenPipeError), started.stdin as given:
                given.write(f"{first_line}\n".encode())
        return cls(started.pid, identity(started.pid) or "", started)

    @classmethod
    def found(cls, text: str) -> Process | None:
        """The process that `text` was made of; None if it is over, whoever has its number now."""
        number, _, known_by = text.partition(" ")
        if not known_by or identity(int(number)) != known_by:
            return None
        return cls(int(number), known_by)

    @property
    def text(self) -> str:
        """What it can be found by, until the computer is started again."""
        return f"{self.pid} {self._known_by}"

    def ended(self) -> bool:
        """Whether it is over. What is left of those that it started is ended then."""
        if self._started is None:
            over = identity(self.pid) != self._known_by
        else:
            self.status = self._started.poll()
            over = self.status is not None
            if over:
                _signal_group(self.pid, kill=True)
        return over

    def interrupt(self) -> None:
        """Ask it to stop at the next step, as Ctrl-C does."""
        if self.ended():
            return
        with suppress(OSError):
            os.kill(self.pid, _INTERRUPT)

    def terminate(self) -> None:
        """End it, and those that it started, now."""
        if not self.ended():
            _signal_group(self.pid, kill=False)

    def kill(self) -> None:
        """Like `terminate`, in a way that no process can refuse."""
        if not self.ended():
            _signal_group(self.pid, kill=True)

    def leave(self) -> None:
        """Let it go on; another program may find it."""
        if self._started is not None and self._started.poll() is None:
            _left.append(self._started)


def identity(pid: int) -> str | None:
    """What tells a running process from all others that had or will have its number; None if there is none.

    Example:
        >>> identity(os.getpid()) == identity(os.getpid()), identity(2**30)  # no system counts that far
        (True, None)
    """
    return _identity_of_linux(pid) if sys.platform == "linux" else _identity(pid)


def _identity_of_linux(pid: int) -> str | None:
    """Start in ticks since the boot: unlike a time of day, it stays when the clock is set."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, start = after_name[0].decode(), after_name[19].decode()
    return None if state in "ZX" else f"{boot}/{start}"


def _identity(pid: int) -> str | None:
    """The time at which it started."""
    try:
        process = psutil.Process(pid)
        over = process.status() == psutil.STATUS_ZOMBIE
        return None if over else f"{process.create_time():.3f}"
    except psutil.Error:
        return None


def _signal_group(pid: int, *, kill: bool) -> None:
    """End a process that leads a group, and the group."""
    if sys.platform == "win32":
        with suppress(psutil.Error):
            leader = psutil.Process(pid)
            for process in (*leader.children(recursive=True), leader):
                process.kill()
        return
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL if kill else signal.SIGTERM)


@contextmanager
def _hearing_interrupts() -> Iterator[None]:
    """Undo that a shell lets what it starts in the background, and all that this starts, ignore Ctrl-C."""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
