"""Networks of torchvision and timm on images of 224x224: does every command work, how long, how much memory?

    python benchmarks/imagenet.py run [--only NAME]
    python benchmarks/imagenet.py table

Weights are random and images made up, so accuracy says nothing. Each command is a process of its own on one
thread; seconds are those of the processor, which other programs hardly change. Needs torchvision and timm.
Results are kept in results/imagenet.json; what is there is not run again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

import runs
from tenfold.zoo.build import build

NETWORKS = (
    "torchvision:resnet18",
    "torchvision:resnet50",
    "torchvision:vgg16_bn",
    "torchvision:mobilenet_v2",
    "timm:efficientnet_b0",
)
SETTINGS = ["--budget", "params=0.5", "--scheme", "svd", "--calibration", "64", "--measured", "16"]
SETTINGS += ["--recovery-steps", "2", "--workers", "1"]
SIZE, CLASSES, IMAGES = 224, 4, {"train": 25, "test": 6}
STEPS = ("inspect", "compress", "export", "export pt2", "export safetensors", "bench")


def main() -> None:
    arguments = runs.parser(__doc__).parse_args()
    if arguments.action == "table":
        print(table(runs.load("imagenet")))
        return
    for name in NETWORKS:
        if arguments.only in name and name not in runs.load("imagenet"):
            print(name, flush=True)
            print(runs.store("imagenet", name, whole_way(name)), flush=True)


def save_random(arch: str, classes: int, file: Path) -> None:
    """A checkpoint of random weights."""
    torch.manual_seed(0)
    safetensors.torch.save_model(build(arch, classes=classes), file)


def whole_way(arch: str) -> dict[str, object]:
    """Every command on one network, and what they say of it."""
    with tempfile.TemporaryDirectory(prefix="tenfold-") as name:
        folder = Path(name)
        make_photos(folder / "photos")
        save_random(arch, CLASSES, folder / "weights.safetensors")
        given = ["--arch", arch, "--weights", "weights.safetensors", "--data", "photos"]
        commands = {
            "inspect": ["inspect", *given],
            "compress": ["compress", *given, *SETTINGS, "--out", "run"],
            "export": ["export", "run"],
            "export pt2": ["export", "run", "--format", "pt2"],
            "export safetensors": ["export", "run", "--format", "safetensors"],
            "bench": ["bench", "run", "--batch", "1"],
        }
        steps = {step: measured(folder, *commands[step]) for step in STEPS}
        report = json.loads((folder / "run" / "report.json").read_text())
    reasons = (re.sub(r" \(.*", "", layer["reason"]) for layer in report["layers"])
    return {
        "steps": steps,
        "params": [report["before"]["params"], report["after"]["params"]],
        "size_bytes": [report["before"]["size_bytes"], report["after"]["size_bytes"]],
        "layers": Counter(reason or "factorised" for reason in reasons),
    }


def make_photos(folder: Path) -> None:
    """Waves, patches and noise."""
    source = np.random.default_rng(0)
    down, right = np.mgrid[0:SIZE, 0:SIZE]
    for part, count in IMAGES.items():
        for number in range(CLASSES * count):
            waves = [np.sin((right + n * down) / source.uniform(5, 40)) for n in range(3)]
            patches = Image.fromarray((source.random((14, 14, 3)) * 255).astype(np.uint8))
            patches = np.asarray(patches.resize((SIZE, SIZE))) / 255
            mixed = 0.25 * (np.stack(waves, -1) + 1) + patches / 2
            mixed += source.normal(0, 0.03, mixed.shape)
            place = folder / part / f"class{number % CLASSES}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray((mixed.clip(0, 1) * 255).astype(np.uint8)).save(place / f"{number}.png")


def measured(folder: Path, *words: str) -> dict[str, float]:
    """One command: seconds of the processor and the most memory that one of its processes had."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TENFOLD_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "tenfold", *words]
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"tenfold {' '.join(words)} failed:\n{output.read()}")
    return {"seconds": usage.ru_utime + usage.ru_stime, "gigabytes": usage.ru_maxrss * 1024 / 1e9}


def table(found: dict[str, dict]) -> str:
    """Everything, as it stands in docs/networks.md."""
    kinds = sorted({kind for row in found.values() for kind in row["layers"]} - {"factorised"})
    head = ["network", "parameters", "after", "ONNX, MB", "after", *(f"{step}, s" for step in STEPS)]
    head += ["peak, GB", "factorised", *kinds]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in NETWORKS:
        if name in found:
            row = found[name]
            cells = [name, *(f"{count:,}" for count in row["params"])]
            cells += [f"{size / 1e6:.1f}" for size in row["size_bytes"]]
            cells += [f"{row['steps'][step]['seconds']:.0f}" for step in STEPS]
            cells += [f"{max(step['gigabytes'] for step in row['steps'].values()):.1f}"]
            cells += [str(row["layers"].get(kind, 0)) for kind in ("factorised", *kinds)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
