"""Where the bundle of the whole tool begins: `tenfold pack --target studio` makes it.

There is no Python beside the program, but tenfold and its libraries start processes of their own by
`sys.executable`. So the program does what Python would with ``-m`` and ``-c``.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from tenfold.studio.process import CHILD

__all__ = ["main", "python_arguments"]

_WITH_VALUE = ("-X", "-W")


def main() -> None:
    """The window; with arguments the command line ``tenfold``, or Python itself."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a window has none on Windows
            stream.reconfigure(line_buffering=True)  # the page of a job shows each line when it ends
    asked = python_arguments(sys.argv[1:])
    if asked is not None:
        _as_python(*asked)
        return
    arguments = sys.argv[1:] or ["studio"]
    sys.argv[1:] = arguments[1:] if arguments[0] == CHILD else arguments
    from tenfold.cli.app import main as command_line  # noqa: PLC0415  other processes do without

    command_line()


def python_arguments(arguments: Sequence[str]) -> tuple[str, str, list[str]] | None:
    """What Python itself is asked for: ("-m" or "-c", module or program, its arguments), or None.

    Example:
        >>> python_arguments(["-B", "-X", "utf8", "-m", "json.tool", "a.json"])
        ('-m', 'json.tool', ['a.json'])
        >>> python_arguments(["compress", "-c"]), python_arguments(["--version"])
        (None, None)
    """
    rest = list(arguments)
    while rest and rest[0].startswith("-") and not rest[0].startswith("--"):
        flag = rest.pop(0)
        if flag in ("-m", "-c"):
            return (flag, rest[0], rest[1:]) if rest else None
        if flag in _WITH_VALUE and rest:
            rest.pop(0)
    return None


def _as_python(flag: str, what: str, arguments: list[str]) -> None:
    """Run a module or a program as ``python`` does."""
    sys.argv = [flag if flag == "-c" else what, *arguments]
    try:
        if flag == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})
    finally:
        _reopen()


def _reopen() -> None:
    """Put streams in the place of closed ones: PyInstaller's start flushes them at the end."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream.closed:
            nothing = Path(os.devnull).open("w")  # noqa: SIM115  until the process ends
            setattr(sys, name, nothing)
            setattr(sys, f"__{name}__", nothing)
