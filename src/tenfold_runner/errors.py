"""Every error a user of a package can cause.

RunnerError
├── PackageError     a package that is incomplete, changed or of another format
├── ImageError       a file that is no image, or none that can be classified
└── PassphraseError  a passphrase that does not open the network
"""

from __future__ import annotations

__all__ = ["ImageError", "PackageError", "PassphraseError", "RunnerError"]


class RunnerError(Exception):
    """Base of all errors that the runner raises on purpose."""


class PackageError(RunnerError):
    """A package that is incomplete, changed or of another format."""


class ImageError(RunnerError):
    """A file that is no image, or none that can be classified."""


class PassphraseError(RunnerError):
    """A passphrase that does not open the network."""
