"""A package on the device: found, checked against its manifest, and opened."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tenfold_runner.card import CARD, Card
from tenfold_runner.errors import PackageError
from tenfold_runner.manifest import MANIFEST, Entry, check_files, read_manifest
from tenfold_runner.protect import ENCRYPTED, decrypt
from tenfold_runner.seal import check_seal

__all__ = ["ICON", "MODEL", "Package", "home", "no_window", "waiting_seconds"]

MODEL = "model.onnx"
"""Name of the plain network in a package."""

ICON = "icon.png"
"""Name of the picture of its window, if it has one."""

_BOTH_THREADS = 2  # digests are computed outside of Python's lock


@dataclass(frozen=True)
class Package:
    """A package whose files are those of its manifest.

    Attributes:
        folder: where it is.
        card: what it says about itself.
        model: the file of the network.
    """

    folder: Path
    card: Card
    model: Path

    @classmethod
    def open(cls, folder: Path) -> Package:
        """Check every file of the package in `folder`, and read its card.

        Raises:
            PackageError: a file is missing or was changed, or it is no package.
        """
        entries = read_manifest(folder)
        _check(folder, entries)
        models = [name for name in (MODEL, ENCRYPTED) if name in entries]
        if len(models) != 1 or CARD not in entries:
            raise PackageError(f"{folder / MANIFEST} lists no card or no network; get the package again")
        return cls(folder, Card.read(folder / CARD), folder / models[0])

    @property
    def protected(self) -> bool:
        """Whether a passphrase opens the network."""
        return self.model.name == ENCRYPTED

    @property
    def icon(self) -> Path | None:
        """The picture of the window."""
        path = self.folder / ICON
        return path if path.is_file() else None

    def network(self, passphrase: str | None = None) -> bytes:
        """The plain network.

        Args:
            passphrase: of a protected one.

        Raises:
            PassphraseError: it is a wrong one.
            PackageError: the file cannot be read, or is not what was protected.
        """
        try:
            data, card = self.model.read_bytes(), (self.folder / CARD).read_bytes()
        except OSError as error:
            raise PackageError(f"cannot read {error.filename}: {error.strerror}") from error
        if not self.protected:
            return data
        return decrypt(data, card, passphrase or "")


def no_window(cause: object) -> str:
    """What to say where no window can be opened, for some `cause`."""
    return (
        f"the window cannot be opened ({cause}); without a display use the command line: "
        f"{Path(sys.argv[0]).name} --image FILE, or --help"
    )


def waiting_seconds(failures: int) -> float:
    """How long to wait after that many wrong passphrases in a row.

    Example:
        >>> [waiting_seconds(n) for n in range(1, 5)], waiting_seconds(20)
        ([1.0, 2.0, 4.0, 8.0], 60.0)
    """
    return min(60.0, 2.0 ** (failures - 1))


def _check(folder: Path, entries: dict[str, Entry]) -> None:
    """Compare all files with the manifest, the largest ones first."""
    names = sorted(entries, key=lambda name: -entries[name].size_bytes)
    with ThreadPoolExecutor(_BOTH_THREADS) as pool:
        for _ in pool.map(lambda name: check_files(folder, entries, [name]), names):
            pass


def home() -> Path:
    """The folder of the package that this program belongs to.

    Raises:
        PackageError: the program is one file, and was changed.
    """
    if getattr(sys, "frozen", False):
        program, unpacked = Path(sys.executable).resolve(), Path(sys._MEIPASS)  # type: ignore[attr-defined]
        if unpacked.parent == program.parent:
            return program.parent
        check_seal(program)  # one file that has unpacked itself somewhere
        return unpacked
    return Path(__file__).resolve().parent.parent
