"""Long work beside a window that never waits for it."""

from __future__ import annotations

import queue
import tkinter as tk
from collections.abc import Callable, Generator
from threading import Event, Thread
from typing import Any

from tenfold_runner.errors import RunnerError

__all__ = ["Work"]

_MILLISECONDS = 30  # between two looks at what the thread has to say
_PATIENCE = 10.0  # seconds for the thread to tidy up when the window closes


class Work:
    """One thread at a time that takes states from a generator; the window is told of each in its own thread.

    Attributes:
        busy: whether there is work going on.
    """

    def __init__(self, root: tk.Misc, changed: Callable[[bool], None]) -> None:
        """Work for the window `root`; `changed` is told when work begins and ends."""
        self._root, self._changed = root, changed
        self._said: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._stop = Event()
        self._thread: Thread | None = None
        self.busy = False

    def start(
        self,
        states: Callable[[], Generator[Any]],
        step: Callable[[Any], None],
        end: Callable[[RunnerError | None], None],
    ) -> None:
        """Take all states; nothing happens while other work goes on.

        Args:
            states: makes the generator; it is closed when the work is cancelled.
            step: told every state.
            end: told None at the end and when cancelled, or what went wrong.
        """
        if self.busy:
            return
        self.busy = True
        self._stop.clear()
        self._changed(True)
        self._thread = Thread(target=self._take, args=(states,))
        self._thread.start()
        self._root.after(_MILLISECONDS, self._look, step, end)

    @property
    def cancelled(self) -> bool:
        """Whether the work was told to stop."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Tell the work to stop after its present state."""
        self._stop.set()

    def close(self) -> None:
        """Stop the work, and wait until nothing half-done is left."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _take(self, states: Callable[[], Generator[Any]]) -> None:
        """The thread."""
        error: Exception | None = None
        try:
            generator = states()
            for state in generator:
                self._said.put(("step", state))
                if self._stop.is_set():
                    generator.close()
                    break
        except Exception as met:  # noqa: BLE001  it is raised again where the user sees it
            error = met
        self._said.put(("end", error))

    def _look(self, step: Callable[[Any], None], end: Callable[[RunnerError | None], None]) -> None:
        """Pass on what the thread has said; of several states that came meanwhile all are told."""
        while not self._said.empty():
            what, value = self._said.get()
            if what == "step":
                step(value)
                continue
            self.busy = False
            self._changed(False)
            if value is not None and not isinstance(value, RunnerError):
                end(RunnerError(f"this should not happen: {value!r}"))
                raise value
            end(value)
            return
        self._root.after(_MILLISECONDS, self._look, step, end)
