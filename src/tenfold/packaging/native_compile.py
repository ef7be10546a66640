"""C to programs and libraries for several systems, by one compiler: clang as zig brings it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tenfold.core.errors import ExportError

__all__ = ["PLATFORMS", "Compiler", "Platform"]

_FAST = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
_SMALL = ("-O2",)
_ALWAYS = (
    "-std=gnu11",
    "-w",  # the sources are tested with warnings; users cannot act on those of their compiler
    "-g0",
    "-fno-sanitize=all",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
)
_REST = ("prepare.c",)
_PROGRAM = ("program.c", "system.c", "png.c", "pnm.c", "inflate.c")


@dataclass(frozen=True)
class Platform:
    """A system and a processor.

    Attributes:
        name: in names of files.
        target: what the compiler calls it.
        variants: processors the network is compiled for: ending of the function, and the compiler's name.
        suffix: of programs.
        link: further settings of the linker.
    """

    name: str
    target: str
    variants: tuple[tuple[str, str], ...] = (("", "baseline"),)
    suffix: str = ""
    link: tuple[str, ...] = ()


_X86_64 = (("any", "x86_64"), ("avx2", "x86_64_v3"))

PLATFORMS = (
    Platform("linux-x86_64", "x86_64-linux-musl", _X86_64, link=("-static",)),
    Platform("linux-arm64", "aarch64-linux-musl", (("", "generic"),), link=("-static",)),
    Platform("windows-x86_64", "x86_64-windows-gnu", _X86_64, suffix=".exe", link=("-municode",)),
)
"""All that are built for."""


class Compiler:
    """Works in one folder, which holds all sources."""

    def __init__(self, folder: Path) -> None:
        """For the sources in `folder`.

        Raises:
            ExportError: zig is not installed.
        """
        if importlib.util.find_spec("ziglang") is None:
            raise ExportError(
                "a native package needs a compiler that is not installed: pip install 'tenfold[native]'"
            )
        self._folder = folder

    def build(self, platform: Platform) -> tuple[Path, Path]:
        """The program and the library for a platform.

        Raises:
            ExportError: the compiler fails; what it says is in the message.
        """
        network = [self._network(platform, *variant) for variant in platform.variants]
        several = len(platform.variants) > 1
        rest = [self._object(platform, name) for name in (*_REST, *(("cpu.c",) if several else ()))]
        program = [self._object(platform, name) for name in _PROGRAM]
        made = self._folder / f"{platform.name}{platform.suffix or '.bin'}"
        objects = [path.name for path in (*program, *rest, *network)]
        link = ("-Wl,--gc-sections", "-s", *platform.link)
        self._zig("cc", "-target", platform.target, *link, *objects, "-lm", "-o", made.name)
        library = self._folder / f"{platform.name}.a"
        self._zig("ar", "rcsD", library.name, *(path.name for path in (*rest, *network)))
        return made, library

    def _network(self, platform: Platform, ending: str, processor: str) -> Path:
        """The network for one kind of processor; the first kind brings the weights."""
        defines = [f"-DMODEL_RUN=model_run_{ending}"] if ending else []
        if ending and ending != platform.variants[0][0]:
            defines.append("-DMODEL_REST_ELSEWHERE")
        out = self._folder / f"{platform.name}-model-{ending or 'all'}.o"
        settings = (*_ALWAYS, *_FAST, f"-mcpu={processor}", *defines)
        self._zig("cc", "-target", platform.target, *settings, "-c", "model.c", "-o", out.name)
        return out

    def _object(self, platform: Platform, name: str) -> Path:
        """One of the other files, for any processor of the platform."""
        out = self._folder / f"{platform.name}-{name.removesuffix('.c')}.o"
        settings = (*_ALWAYS, *_SMALL, f"-mcpu={platform.variants[0][1]}")
        self._zig("cc", "-target", platform.target, *settings, "-c", name, "-o", out.name)
        return out

    def _zig(self, tool: str, *arguments: str) -> None:
        """Run one of zig's tools in the folder."""
        command: Sequence[str] = (sys.executable, "-m", "ziglang", tool, *arguments)
        environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(self._folder / "cache")}
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
        if done.returncode:
            said = " ".join(done.stderr.strip().splitlines()[:3]) or f"exit code {done.returncode}"
            raise ExportError(
                f"native package: zig {tool} failed: {said}; install it again: pip install -U ziglang"
            )
