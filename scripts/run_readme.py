"""Every command of README and quick start, copied from there and run.

    python scripts/run_readme.py FOLDER [--only TEXT] [--but TEXT]

FOLDER is made, and is where the commands run. What they name is put there first: a zip file of a few random
images for cifar10.zip, random weights for the checkpoint. Commands are run as they stand, with options behind
them that make them short (`SHORTER`). What sets up an environment or needs a display is not run (`NOT_RUN`).
Says how long each took, and ends with 1 if one fails.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import tenfold

__all__ = ["NOT_RUN", "PAGES", "SHORTER", "commands", "run", "shortened", "stand_ins"]

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "quick-start.md")
_JOB = "--calibration 32 --held-out 16 --workers 1"
_MENDING = f"{_JOB} --recovery-steps 2 --recovery-batch 16 --measured 0 --scheme tucker"
SHORTER = {
    "compress": _MENDING,
    "compress --method": f"{_MENDING} --trials 2 --trial-steps 1 --epochs 1 --batch 32",
    "search": f"{_MENDING} --trials 2 --trial-steps 1",
    "learn": f"{_JOB} --warm-up 1 --steps 1 --step-epochs 1 --choices 1 --epochs 1 --batch 32",
    "bench": "--repetitions 30 --batch 1 --threads 1",
    "inspect": "",
}
"""What is put behind a command that begins so; the longest beginning counts."""

NOT_RUN = ("make ", "pip ", "torchrun ", "tenfold studio")
_NETWORK = """\
from torch import nn
model = nn.Sequential(
    nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
)
"""
_FENCE = re.compile(r"^``` ?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(tenfold [a-z]+ [^`]*runs/[^`]*)`")
_STARTS = ("tenfold ", *NOT_RUN)


def commands(page: str) -> list[str]:
    """The shell commands and the Python of a page, in the order in which they stand.

    Example:
        >>> commands(chr(10).join(["Then `tenfold bench runs/a`:", "```", "make demo", "```"]))
        ['tenfold bench runs/a', 'make demo']
    """
    found = [(match.start(), [match[1]]) for match in _INLINE.finditer(page) if "..." not in match[1]]
    for match in _FENCE.finditer(page):
        if "python" in match[1]:
            found.append((match.start(), [match[2]]))
        elif "text" not in match[1]:
            lines = match[2].replace("\\\n", " ").splitlines()
            found.append((match.start(), [line for line in lines if line.startswith(_STARTS)]))
    return [command for _, group in sorted(found) for command in group]


def stand_ins(folder: Path) -> None:
    """What the commands name: images and weights that make no sense."""
    draw = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "cifar10.zip", "w") as archive:
        for split, count in (("train", 12), ("test", 4)):
            for name in (f"{split}/{label}/{n}.png" for label in range(10) for n in range(count)):
                buffer = BytesIO()
                Image.fromarray(draw.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(buffer, "png")
                archive.writestr(name, buffer.getvalue())
    torch.manual_seed(0)
    save_file(tenfold.build("resnet20", classes=10).state_dict(), folder / "cifar10-resnet20.safetensors")


def shortened(command: str) -> str:
    """A command with the options that make it short; Python as it is."""
    if not command.startswith("tenfold "):
        return command
    begins = [begin for begin in SHORTER if command.startswith(f"tenfold {begin}")]
    options = SHORTER[max(begins, key=len)] if begins else ""
    line = command.partition("  #")[0].rstrip()
    return f"{line} {options}".rstrip()


def run(command: str, folder: Path) -> bool:
    """Run one of them; whether it succeeded."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "TENFOLD_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    line = shortened(command)
    if command.startswith("tenfold "):
        words = ["bash", "-c", line]
    else:
        # The example of the README takes a network of the reader's and all of its images.
        words = [sys.executable, "-c", _NETWORK + line]
    print(f"$ {line}", flush=True)
    begin = perf_counter()
    code = subprocess.run(words, cwd=folder, env=environment, check=False).returncode
    print(f"[{perf_counter() - begin:.0f} s]", flush=True)
    return code == 0


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="run commands that contain this")
    parser.add_argument("--but", help="run none that contain this")
    arguments = parser.parse_args()
    arguments.folder.mkdir()
    stand_ins(arguments.folder)
    failed = []
    for page in PAGES:
        for command in commands(page.read_text()):
            if command.startswith(NOT_RUN) or (arguments.but and arguments.but in command):
                print(f"not run here: {command}", flush=True)
            elif arguments.only in command and not run(command, arguments.folder):
                failed.append(f"{page.name}: {command}")
    print("\n".join(failed) or "every command did what it says")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
