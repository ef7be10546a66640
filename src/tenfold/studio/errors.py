"""What the desktop program refuses.

TenfoldError
└── StudioError
    ├── StorageError         the data folder or its database cannot be used
    │   └── OccupiedError    another program works in the data folder
    ├── LoginError           name and password do not let in
    │   └── ThrottledError   too many failures: wait
    ├── PasswordError        a new password breaks a rule
    ├── SessionError         no one is logged in, the screen is locked, or a password must be changed first
    ├── RightsError          only an administrator, or the owner, may do that
    ├── AccountError         an account that cannot be made or changed so
    └── JobError             a job that cannot be queued, stopped or gone on with
"""

from __future__ import annotations

import math

from tenfold.core.errors import TenfoldError

__all__ = [
    "AccountError",
    "JobError",
    "LoginError",
    "OccupiedError",
    "PasswordError",
    "RightsError",
    "SessionError",
    "StorageError",
    "StudioError",
    "ThrottledError",
]


class StudioError(TenfoldError):
    """Base of what the desktop program refuses."""


class StorageError(StudioError):
    """The data folder or its database cannot be opened, read or written."""


class OccupiedError(StorageError):
    """Another program works in the data folder."""


class LoginError(StudioError):
    """Name and password do not let in."""


class ThrottledError(LoginError):
    """Nothing was checked: there were too many failures.

    Attributes:
        wait_s: seconds until the next try is looked at.
    """

    def __init__(self, wait_s: float) -> None:
        """Say how long."""
        super().__init__(wait_s)
        self.wait_s = wait_s

    def __str__(self) -> str:
        """The message, in whole seconds, rounded up."""
        return f"too many failed logins; try again in {math.ceil(self.wait_s)} s"


class PasswordError(StudioError):
    """A new password breaks a rule."""


class SessionError(StudioError):
    """A session that is over or locked, or in which the password must be changed first."""


class RightsError(StudioError):
    """Only an administrator, or the owner, may do that."""


class AccountError(StudioError):
    """An account that cannot be made or changed in that way."""


class JobError(StudioError):
    """A job that cannot be queued, stopped or gone on with."""
