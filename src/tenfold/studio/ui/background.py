"""Work beside the window: threads whose results come back into the loop of events."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from tenfold.core.errors import TenfoldError

__all__ = ["Background"]

_Result = TypeVar("_Result")

_POLL_MS = 40


class Background:
    """Threads for what takes long; what they bring is used where the widgets live.

    A thread must not touch a widget. What it raises on purpose is given to `fail`; anything else is an error
    of the program and goes where those of the window go.
    """

    def __init__(self, window: tk.Misc, fail: Callable[[TenfoldError], None], *, threads: int) -> None:
        """Begin to look for results, until `close`."""
        self._window, self._fail = window, fail
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="studio")
        self._done: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._after = window.after(_POLL_MS, self._poll)

    def run(
        self,
        work: Callable[[], _Result],
        then: Callable[[_Result], None],
        fail: Callable[[TenfoldError], None] | None = None,
    ) -> None:
        """Do `work` in a thread; then call `then` with what it gives, or `fail` with its error.

        Args:
            work: touches no widget.
            then: called in the loop of events.
            fail: the same; else what was named for all work.
        """

        def carry_out() -> None:
            try:
                result = work()
            except TenfoldError as error:
                found = error
                self._done.put(lambda: (fail or self._fail)(found))
            except Exception as error:  # noqa: BLE001 a thread must hand it to the window, whatever it is
                met = error
                self._done.put(lambda: _report(met, fail or self._fail))
            else:
                self._done.put(lambda: then(result))

        self._pool.submit(carry_out)

    def close(self, *, wait: bool) -> None:
        """Take no more work; `wait` for what is under way, or forget it."""
        self._window.after_cancel(self._after)
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _poll(self) -> None:
        """Use what is done by now."""
        self._after = self._window.after(_POLL_MS, self._poll)
        with suppress(Empty):
            while True:
                self._done.get_nowait()()


def _report(error: Exception, fail: Callable[[TenfoldError], None]) -> None:
    """Let who asked know that nothing comes, and raise it in the loop of events, where Tk reports it."""
    fail(TenfoldError(f"{type(error).__name__}: {error}"))
    raise error
