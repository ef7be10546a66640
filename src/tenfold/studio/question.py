"""Something that a command of tenfold is asked in a process of its own."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

from tenfold.studio.errors import StudioError
from tenfold.studio.process import own_environment, program

__all__ = ["Question"]


class Question:
    """A command that answers with JSON.

    Attributes:
        withdrawn: whether nobody waits for the answer any more.
    """

    def __init__(self, *arguments: str) -> None:
        """Not asked yet; `arguments` are what follows `tenfold` on a command line."""
        self._arguments = arguments
        self._lock = threading.Lock()
        self.withdrawn = False
        self._child: subprocess.Popen[bytes] | None = None

    def answer(self) -> Any:
        """Ask it, in a thread, and wait.

        Raises:
            StudioError: the command fails, and says why; or the question was withdrawn.
        """
        with self._lock:
            if self.withdrawn:
                raise StudioError("the question was withdrawn")
            try:
                child = self._child = subprocess.Popen(
                    [*program(), *self._arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=own_environment(),
                )
            except OSError as error:
                raise StudioError(f"cannot start {program()[0]}: {error.strerror}") from None
        out, said = child.communicate()
        if self.withdrawn:
            raise StudioError("the question was withdrawn")
        if child.returncode:
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            raise StudioError(last.removeprefix("error: ") or f"it ended with status {child.returncode}")
        return json.loads(out)

    def withdraw(self) -> None:
        """End its process; `answer` raises then."""
        with self._lock:
            self.withdrawn = True
            if self._child is not None:
                self._child.kill()
