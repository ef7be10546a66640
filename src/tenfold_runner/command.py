"""The command line of a package."""

from __future__ import annotations

import argparse
import getpass
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold_runner.errors import ImageError, PassphraseError, RunnerError
from tenfold_runner.package import Package, home, no_window, waiting_seconds

if TYPE_CHECKING:
    from tenfold_runner.card import Card
    from tenfold_runner.classify import Answer, Classifier

__all__ = ["Parser", "main"]

_SOME_FAILED = 1
_REFUSED = 2
_INTERRUPTED = 130
_TRIES = 5  # of a passphrase in a terminal
_BATCHES = (1, 32)
_TOP = 5
_HAS_WINDOW = importlib.util.find_spec("_tkinter") is not None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; `arguments` are those of the process by default.

    Returns:
        0; 1 if some images could not be read; 2 if what was asked is refused; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a window has none on Windows
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    asked = Parser().parse_args(arguments)
    try:
        return _run(asked)
    except RunnerError as error:
        _say(f"error: {error}")
        if _wants_window(asked):
            _tell(str(error))
        return _REFUSED
    except KeyboardInterrupt:
        _say("interrupted; nothing was left behind")
        return _INTERRUPTED


class Parser(argparse.ArgumentParser):
    """The options of a package."""

    def __init__(self) -> None:
        """Set them up."""
        super().__init__(
            description="Classify images with the network of this package. Without options, a window opens.",
            allow_abbrev=False,
        )
        self.add_argument("files", nargs="*", type=Path, metavar="IMAGE", help="shown in the window")
        work = self.add_mutually_exclusive_group()
        work.add_argument("--image", nargs="+", type=Path, metavar="F", help="classify image files")
        work.add_argument(
            "--folder", type=Path, metavar="D", help="classify all images in a folder, into --csv"
        )
        work.add_argument("--bench", action="store_true", help="time the network on this machine")
        work.add_argument("--card", action="store_true", help="say what the network is")
        self.add_argument("--csv", type=Path, metavar="F", help="table for --folder")
        self.add_argument("--json", action="store_true", help="print JSON")
        self.add_argument("--top", type=_positive, metavar="K", help="classes to name; else 5, in a table 1")
        self.add_argument("--threads", type=_positive, default=1, metavar="N", help="else 1")
        self.add_argument(
            "--passphrase-stdin",
            action="store_true",
            help="read the passphrase from the first line of the input",
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read them, and refuse what makes no sense."""
        found = super().parse_args(args, namespace)
        if (found.folder is None) != (found.csv is None):
            self.error("--folder and --csv go together: the folder to read and the table to write")
        if found.files and (found.image or found.folder or found.bench or found.card):
            self.error(f"what is {str(found.files[0])!r}? Image files go behind --image")
        return found


def _positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: give 1 or more")
    return number


def _run(asked: argparse.Namespace) -> int:
    """Do what was asked."""
    package = Package.open(home())
    if asked.card:
        _print_card(package.card, asked.json)
        return 0
    if _wants_window(asked):
        return _window(package, asked)
    classifier = _opened(package, asked)
    if asked.image:
        return _images(classifier, asked)
    if asked.folder:
        return _folder(classifier, asked)
    return _bench(classifier, asked)


def _wants_window(asked: argparse.Namespace) -> bool:
    """Whether nothing was asked for that a terminal can show."""
    return not (asked.image or asked.folder or asked.bench or asked.card)


def _window(package: Package, asked: argparse.Namespace) -> int:
    """Open the window."""
    if not _HAS_WINDOW:
        raise RunnerError("this program has no window; see --help for what it does")
    try:
        import tkinter  # noqa: F401, PLC0415  it is in some packages only, and may lack libraries of a desktop
    except ImportError as error:
        raise RunnerError(no_window(error)) from None
    from tenfold_runner.window.program import show  # noqa: PLC0415  it needs Tk

    return show(package, asked.files, threads=asked.threads)


def _tell(text: str) -> None:
    """Say in a window what the terminal was told, for those who started the program without one."""
    if not _HAS_WINDOW:
        return
    try:
        from tenfold_runner.window.message import tell  # noqa: PLC0415  as above
    except ImportError:
        return
    tell(text)


def _opened(package: Package, asked: argparse.Namespace) -> Classifier:
    """The network, loaded, once the passphrase is right."""
    from tenfold_runner.classify import Classifier  # noqa: PLC0415  NumPy and ONNX Runtime are checked first

    model = _unlocked(package, asked) if package.protected else package.network()
    return Classifier(package.card, model, threads=asked.threads)


def _unlocked(package: Package, asked: argparse.Namespace) -> bytes:
    """The network of a protected package."""
    if asked.passphrase_stdin:
        return package.network(sys.stdin.readline().rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise PassphraseError(
            "this network is protected, and there is no terminal to ask for the passphrase; "
            "use --passphrase-stdin"
        )
    for failures in range(1, _TRIES + 1):
        try:
            return package.network(getpass.getpass(f"Passphrase of {package.card.name}: "))
        except PassphraseError as error:
            _say(str(error))
            time.sleep(waiting_seconds(failures))
    raise PassphraseError(f"{_TRIES} wrong passphrases; start again")


def _images(classifier: Classifier, asked: argparse.Namespace) -> int:
    """Classify some files."""
    failed, found = 0, []
    for path in asked.image:
        try:
            answer = classifier.classify(path, asked.top or _TOP)
        except ImageError as error:
            _say(f"error: {error}")
            failed += 1
            continue
        found.append(_as_json(path, answer))
        if not asked.json:
            _print_answer(path, answer)
    if asked.json:
        _print_json(found)
    if failed:
        return _SOME_FAILED if found else _REFUSED
    return 0


def _folder(classifier: Classifier, asked: argparse.Namespace) -> int:
    """Classify a folder into a table."""
    from tenfold_runner.table import write_table  # noqa: PLC0415  as above

    bar, progress = sys.stderr.isatty(), None
    for progress in write_table(classifier, asked.folder, asked.csv, asked.top or 1):
        if bar:
            _say(f"\r{progress.done} of {progress.total} images", end="")
    if progress is None:
        return 0
    if bar:
        _say("")
    summary = {"images": progress.total, "failed": progress.failed, "csv": str(asked.csv)}
    if asked.json:
        _print_json(summary)
    else:
        _print(f"{progress.total} images, {progress.failed} of them could not be read; table: {asked.csv}")
    return _SOME_FAILED if progress.failed else 0


def _bench(classifier: Classifier, asked: argparse.Namespace) -> int:
    """Time the network."""
    rows = []
    for batch in _BATCHES:
        timing = list(classifier.bench(batch))[-1]
        rows.append({**vars(timing), "images_per_second": timing.images_per_second, "threads": asked.threads})
        if not asked.json:
            _print(
                f"{batch:3d} at a time, {asked.threads} thread(s): median {timing.median_ms:.3f} ms, "
                f"95 % within {timing.slow_ms:.3f} ms, {timing.images_per_second:,.0f} images a second"
            )
    if asked.json:
        _print_json(rows)
    return 0


def _print_card(card: Card, as_json: bool) -> None:
    """The card, for people or programs."""
    if as_json:
        _print_json(card.content)
        return
    _print(f"{card.name} {card.version}: {card.network}, trained on {card.images}")
    _print(f"{len(card.classes)} classes: {', '.join(card.classes)}")
    channels, height, width = card.shape
    _print(f"images of {height}x{width} (height x width), {'grey' if channels == 1 else 'RGB'}")
    _print_table([("", "original", "this package"), *card.lines])


def _print_table(rows: Sequence[tuple[str, str, str]]) -> None:
    """Rows in columns, numbers to the right."""
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    for what, before, after in rows:
        _print(f"{what:{first}}  {before:>{second}}  {after:>{third}}")


def _print_answer(path: Path, answer: Answer) -> None:
    """One image, for people."""
    _print(f"{path}  ({answer.latency_ms:.3f} ms)")
    for name, chance in answer.ranked:
        _print(f"  {100 * chance:6.2f} %  {name}")


def _as_json(path: Path, answer: Answer) -> dict[str, Any]:
    """One image, for programs."""
    classes = [{"class": name, "probability": chance} for name, chance in answer.ranked]
    return {"file": str(path), "classes": classes, "milliseconds": answer.latency_ms}


def _print_json(value: Any) -> None:
    """A value, for programs."""
    _print(json.dumps(value, indent=1))


def _print(text: str) -> None:
    """One line of the answer."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        with Path(os.devnull).open("w") as nothing:  # Python writes what is left when it ends
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        raise RunnerError(
            f"the answer cannot be written: {error.strerror or error}; free space, or let the reader stay"
        ) from None


def _say(text: str, end: str = "\n") -> None:
    """Beside the answer."""
    if sys.stderr is not None:
        sys.stderr.write(f"{text}{end}")
        sys.stderr.flush()
