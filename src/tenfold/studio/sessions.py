"""A login, and its lock."""

from __future__ import annotations

import time
from collections.abc import Callable

from tenfold.studio.errors import SessionError

__all__ = ["Session", "uptime"]


class Session:
    """What shows that someone has logged in; `Accounts` makes it, and each method of theirs wants it.

    It locks itself when `touch` was not called for `idle_s` seconds; only `Accounts.unlock` opens it again.
    Timers and progress are no activity: call `touch` for keys and mouse alone.

    Attributes:
        user_id: number of the account.
        generation: how often its password had been reset, and it was disabled, at the login.
        idle_s: seconds without activity after which it locks.

    Example:
        >>> now = [0.0]
        >>> session = Session(1, 0, idle_s=600, clock=lambda: now[0])
        >>> now[0] = 599; session.touch(); now[0] = 1198; session.locked
        False
        >>> now[0] = 1199; session.touch(); session.locked
        True
    """

    def __init__(self, user_id: int, generation: int, *, idle_s: float, clock: Callable[[], float]) -> None:
        """Begin, unlocked."""
        self.user_id = user_id
        self.generation = generation
        self.idle_s = idle_s
        self._clock = clock
        self._last = clock()
        self._locked = False
        self._over = False

    @property
    def locked(self) -> bool:
        """Whether the password is needed to go on."""
        if not self._locked and self._clock() - self._last >= self.idle_s:
            self._locked = True
        return self._locked

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self._over

    def touch(self) -> None:
        """The user has done something. On a locked session this does nothing."""
        if not self.locked:
            self._last = self._clock()

    def lock(self) -> None:
        """Lock now."""
        self._locked = True

    def end(self) -> None:
        """Log out."""
        self._over = True

    def reopen(self) -> None:
        """Unlock; for `Accounts.unlock`, once it has seen the password."""
        self._locked = False
        self._last = self._clock()

    def check(self) -> None:
        """Refuse where nothing may be done.

        Raises:
            SessionError: it is over or locked.
        """
        if self._over:
            raise SessionError("this session is over; log in again")
        if self.locked:
            raise SessionError("the screen is locked; unlock it with your password")


def uptime() -> float:
    """Seconds of a clock that nobody can set, and that goes on while the computer sleeps."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # Linux; macOS, whose own goes on in sleep
        clock = getattr(time, name, None)
        if clock is not None:
            return time.clock_gettime(clock)
    return time.monotonic()  # Windows: goes on in sleep
