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
from tenfold.packaging.freezing import refuse_in_bundle

__all__ = ["PLATFORMS", "Compiler", "Platform"]

_FAST = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
_SMALL = ("-O2",)
_ALWAYS = (
    "-std=gnu11",
    "-w",  # the sources are tested with warnings; users cannot act on those of their compiler
    "-s",  # of -g0, zig leaves paths of files in objects for Windows
    "-fno-sanitize=all",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
    "-mno-incremental-linker-compatible",  # no time of day in object files for Windows
)
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
            ExportError: zig is not installed, or this is a bundle, which cannot start it.
        """
        refuse_in_bundle()
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
        folder = self._folder / platform.name
        folder.mkdir()
        network = [self._network(folder, platform, *variant) for variant in platform.variants]
        rest = ["prepare.c", *(["cpu.c"] if len(platform.variants) > 1 else [])]
        plain = ("cc", "-target", platform.target, *_ALWAYS, *_SMALL, f"-mcpu={platform.variants[0][1]}")
        objects = [*network, *(name.replace(".c", ".o") for name in rest)]
        for name in rest:  # of several files with -c, zig compiles the first one alone
            self._zig(folder, *plain, "-c", *_above([name]), "-o", name.replace(".c", ".o"))
        link = ("-Wl,--gc-sections", *platform.link)
        program, library = folder / f"program{platform.suffix}", folder / "libmodel.a"
        self._zig(folder, *plain, *link, *_above(_PROGRAM), *objects, "-lm", "-o", program.name)
        self._zig(folder, "ar", "rcsD", library.name, *objects)
        return program, library

    def _network(self, folder: Path, platform: Platform, ending: str, processor: str) -> str:
        """The network for one kind of processor, as an object file; the first kind brings the weights."""
        defines = [f"-DMODEL_RUN=model_run_{ending}"] if ending else []
        if ending != platform.variants[0][0]:
            defines.append("-DMODEL_REST_ELSEWHERE")
        out = f"model_{ending}.o"
        settings = (*_ALWAYS, *_FAST, f"-mcpu={processor}", *defines)
        self._zig(folder, "cc", "-target", platform.target, *settings, "-c", *_above(["model.c"]), "-o", out)
        return out

    def _zig(self, folder: Path, *arguments: str) -> None:
        """Run one of zig's tools in a folder."""
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", *arguments],
            cwd=folder,
            env={**os.environ, "ZIG_LOCAL_CACHE_DIR": str(self._folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
        if done.returncode:
            said = " ".join(done.stderr.strip().splitlines()[:3]) or f"exit code {done.returncode}"
            raise ExportError(
                f"native package: zig {arguments[0]} failed: {said}; install it again: pip install -U ziglang"
            )


def _above(names: Sequence[str]) -> list[str]:
    """Files in the folder of the sources, as seen from that of a platform."""
    return [f"../{name}" for name in names]
