"""Someone who uses the window, on a screen without a monitor."""

from __future__ import annotations

import threading
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from display import Screen
from studio_samples import PASSWORD, QUICK
from tenfold.studio.store import Store
from tenfold.studio.ui.window import Window

SECONDS = 900  # a machine may be busy with other things
_IDLE_S = 86_400.0  # nobody touches the keys while a job runs


@dataclass
class Heartbeat:
    """Seconds in which the window did not look at events, less those for which others had the processor.

    That is when it, or the process that draws for it, was ready to run and had to wait.
    """

    window: Window
    screen: Screen
    gaps: list[float] = field(default_factory=list)
    _every_ms = 10

    def start(self) -> None:
        self._last, self._waited = time.monotonic(), self._waited_s()
        self._after = self.window.after(self._every_ms, self._beat)

    def stop(self) -> None:
        self.window.after_cancel(self._after)

    def _beat(self) -> None:
        now, waited = time.monotonic(), self._waited_s()
        self.gaps.append(now - self._last - (waited - self._waited) - self._every_ms / 1000)
        self._last, self._waited = now, waited
        self._after = self.window.after(self._every_ms, self._beat)

    def _waited_s(self) -> float:
        """Seconds for which this thread, and the process that draws, were ready to run and did not."""
        threads = (f"self/task/{threading.get_native_id()}", f"{self.screen.pid}")
        stats = [Path(f"/proc/{thread}/schedstat").read_text().split() for thread in threads]
        return sum(int(stat[1]) for stat in stats) / 1e9


@dataclass
class User:
    """Someone at the window."""

    window: Window

    @classmethod
    def at(cls, data: Path) -> User:
        user = cls(Window(Store(data, hasher=QUICK)))
        user.look()
        return user

    def look(self, seconds: float = 0.05) -> None:
        """Let the window do what is due."""
        end = time.monotonic() + seconds
        self.window.update()
        while time.monotonic() < end:
            time.sleep(0.005)
            self.window.update()

    def until(self, condition: Callable[[], object], seconds: float = SECONDS) -> None:
        """Wait for something to be seen."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.told, self.texts())
            self.look(0.02)

    def fill(self, **texts: str) -> None:
        """Type into the fields of the screen before the main one."""
        for name, text in texts.items():
            entry = self.window._screen.form.fields[name]
            entry.delete(0, "end")
            entry.insert(0, text)

    def press(self) -> None:
        """The button of that screen."""
        self.window._screen.form.button.invoke()

    def begin(self, name: str = "Ada") -> None:
        """Make the administrator, and come in."""
        self.fill(name=name, password=PASSWORD, again=PASSWORD)
        self.press()
        self.until_in()

    def log_in(self, name: str, password: str) -> None:
        self.fill(name=name, password=password)
        self.press()

    def until_in(self) -> None:
        self.until(lambda: self.window.shell is not None and self.window.shell.winfo_ismapped())
        self.window.session.idle_s = _IDLE_S

    def open(self, key: str, /, **asked: object) -> tk.Misc:
        self.window.open(key, **asked)
        self.look()
        return self.page

    @property
    def page(self):
        """The page that is open."""
        shell = self.window.shell
        return shell.pages[shell.page]

    @property
    def told(self) -> str:
        """What the line at the bottom says."""
        return self.window.shell.told if self.window.shell is not None else ""

    @property
    def message(self) -> str:
        """What the screen before the main one says."""
        return str(self.window._screen.form.message.cget("text"))

    def texts(self, under: tk.Misc | None = None) -> list[str]:
        """All texts that are seen."""
        found = []
        for widget in seen(under or self.window):
            if "text" in widget.configure():
                found.append(str(widget.cget("text")))
        return [text for text in found if text]

    def button(self, text: str, under: tk.Misc | None = None) -> tk.Misc:
        """The button that is seen with this text."""
        return next(
            widget
            for widget in seen(under or self.window)
            if widget.winfo_class() in ("TButton", "TMenubutton") and str(widget.cget("text")) == text
        )

    def leave(self) -> None:
        """Stop what runs, and close the window."""
        queue = self.window.store.queue
        self.window.after_cancel(self.window._after)
        for running in list(queue._running.values()):
            running.process.kill()
            while not running.process.ended():
                time.sleep(0.02)
        self.window.close()


def seen(widget: tk.Misc) -> Iterator[tk.Misc]:
    """A widget and all in it that is on the screen."""
    if widget.winfo_ismapped():
        yield widget
        for child in widget.winfo_children():
            yield from seen(child)
