"""Milliseconds: what compressed networks gain on this machine, one image, one thread.

    TENFOLD_DATA=FOLDER python benchmarks/speed.py run [--only peers]
    python benchmarks/speed.py table

peers: ResNet-20 by the same plan as chains and as tensorly-torch's factorised layers of equal rank, eager
torch, in turns. cifar: fine-tuned runs of `tenfold compress` under a budget on latency, and `tenfold export
--int8` of one under a budget on parameters; VGG-16 is trained for 4 epochs first. imagenet: torchvision's
ResNet-50 and VGG-16 with random weights, 224x224, at 40 % of the MACs and the latency that this should give;
needs torchvision, and the others tensorly-torch. All else on the machine must rest, but in the training of
cifar (`--busy`) once the layers were timed; `compare.py time` then times the whole networks.
Results are kept in results/speed.json; what is there is not run again.
"""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import imagenet
import learning
import numpy as np
import pairs
import torch
from PIL import Image
from torch import nn

import runs
from tenfold.compression.oneshot import decompose_model
from tenfold.compression.prepare import prepare
from tenfold.core.plan import Plan
from tenfold.deploy.timing import spread_of, times_ms
from tenfold.layers.census import census
from tenfold.layers.surgery import replace_
from tenfold.ranks.allocate import allocate
from tenfold.ranks.table import build_table
from tenfold.zoo.build import build

PEERS = ("cp", "tucker")
METHOD = ["--method", "btd-bayes", "--selector", "allocation"]
MUON = ["--optimiser", "muon", "--rate", "0.05", "--weight-decay", "1e-4", "--cycles", "1"]
UNMENDED = ["--recovery-steps", "0"]  # it moves this network, which lost little, away from the original
CIFAR = {
    "resnet20 latency": ("resnet20", ["latency=0.55"], [*METHOD, *MUON, "--epochs", "10"]),
    "resnet20 bytes": ("resnet20", ["params=0.285"], [*METHOD, *MUON, "--epochs", "10"]),
    "vgg16-bn latency": ("vgg16-bn", ["latency=0.4"], [*METHOD, *MUON, *UNMENDED, "--epochs", "3"]),
    "vgg16-bn quarter": ("vgg16-bn", ["latency=0.25"], [*METHOD, *MUON, *UNMENDED, "--epochs", "3"]),
}
VGG = learning.Cell("vgg16-bn", 4, 0, [])
# Pointwise stages at 224x224 are bound by memory: in VGG a chain of two is faster than one of three.
IMAGENET = {"resnet50": ("resnet50", "tucker"), "vgg16-bn 224x224": ("vgg16_bn", "svd")}
SHARE, GAIN = 0.4, 0.85  # of the MACs, and of the ratio of MACs that the time should follow
REPETITIONS = 100


def main() -> None:
    arguments = runs.parser(__doc__).parse_args()
    if arguments.action == "table":
        print(table(runs.load("speed")))
        return
    parts = {
        **{f"peers {scheme}": (lambda s=scheme: peers(s)) for scheme in PEERS},
        **{f"cifar {name}": (lambda n=name: cifar(n, busy=arguments.busy)) for name in CIFAR},
        **{f"imagenet {name}": (lambda n=name: without_training(n)) for name in IMAGENET},
    }
    for name, part in parts.items():
        if arguments.only in name and name not in runs.load("speed"):
            print(name, flush=True)
            print(runs.store("speed", name, part(), busy=arguments.busy), flush=True)


def peers(scheme: str) -> dict[str, float]:
    """One plan, twice: as chains, and as layers of tensorly-torch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, image = build("resnet20", classes=10).eval(), torch.randn(1, 3, 32, 32)
    layers = prepare(model, census(model, image), {}, metric="plain")
    rows = build_table(layers, scheme, workers=1)
    limit = sum(row[0].params for row in rows.values()) / 3
    plan = allocate(rows, {"params": limit}, {"params": 0.0})
    ours, theirs = decompose_model(model, plan, image), with_peers(model, plan)

    def call(network: nn.Module):
        def run() -> None:
            with torch.inference_mode():
                network(image)

        return run

    names = ("original", "tenfold", "tensorly-torch")
    spreads = spread_of(times_ms([call(m) for m in (model, ours, theirs)], repetitions=REPETITIONS))
    return {
        name: {"median_ms": s.median_ms, "quartiles": s.quartiles}
        for name, s in zip(names, spreads, strict=True)
    }


def with_peers(model: nn.Module, plan: Plan) -> nn.Module:
    """A copy of the network with layers of tensorly-torch of the plan's ranks, their weights random."""
    from tltorch import FactorizedConv

    made = copy.deepcopy(model)
    for name, choice in plan.items():
        if choice is None or not isinstance(conv := made.get_submodule(name), nn.Conv2d):
            continue
        rank = choice.rank[0] if choice.scheme == "cp" else (*choice.rank, *conv.kernel_size)
        layer = FactorizedConv(
            conv.in_channels, conv.out_channels, conv.kernel_size, order=2, rank=rank, stride=conv.stride,
            padding=conv.padding, factorization=choice.scheme, implementation="factorized",
        )  # fmt: skip
        replace_(made, name, layer)
    return made.eval()


def cifar(name: str, *, busy: bool) -> dict:
    """A run under a budget, and for bytes its 8 bit file."""
    network, budget, options = CIFAR[name]
    out = runs.folder("speed", f"cifar {name}")  # `compare.py time` looks for it there
    weights = VGG.trained() if network == VGG.network else None
    found = runs.compress(out, network, budget, 0, *options, weights=weights)
    found |= {} if busy else pairs.time_run(out)
    found["predicted_ms"] = (json.loads((out / "report.json").read_text())["latency"] or {}).get(
        "predicted_ms"
    )
    if name.endswith("bytes"):
        subprocess.run([sys.executable, "-m", "tenfold", "export", str(out), "--int8"], check=True)
        found["int8"] = json.loads((out / "int8.json").read_text())["files"]
    return found


def without_training(name: str) -> dict:
    """One shot, without data to speak of: noise, which only the statistics of ranks would look at."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        noise(root / "images")
        network, scheme = IMAGENET[name]
        arch, weights = f"torchvision:{network}", root / "weights.safetensors"
        imagenet.save_random(arch, 2, weights)
        command = [sys.executable, "-m", "tenfold", "compress", "--arch", arch, "--weights", str(weights)]
        command += ["--data", str(root / "images"), "--out", str(root / "run"), "--metric", "plain"]
        command += ["--budget", f"macs={SHARE}", "--budget", f"latency={SHARE / GAIN}", "--scheme", scheme]
        command += ["--recovery-steps", "0", "--measured", "0", "--held-out", "0"]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        report = json.loads((root / "run" / "report.json").read_text())
        times = pairs.time_run(root / "run")
    before, after = report["before"], report["after"]
    return {
        "macs": before["macs"] / after["macs"],
        "params": before["params"] / after["params"],
        **times,
        "predicted_ms": report["latency"]["predicted_ms"],
        "seconds": round(sum(report["seconds"].values())),
    }


def noise(folder: Path) -> None:
    """Two classes of four images."""
    random = np.random.default_rng(0)
    for part, kind, number in ((p, k, n) for p in ("train", "test") for k in "ab" for n in range(4)):
        place = folder / part / kind
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(place / f"{number}.png")


def table(results: dict[str, dict]) -> str:
    """The README's tables: budgets on time, 8 bits, and peers."""
    timed = {name: row for name, row in results.items() if not name.startswith("peers") and "int8" not in row}
    small = {name: row["int8"] for name, row in results.items() if "int8" in row}
    peers_of = {name.removeprefix("peers "): row for name, row in results.items() if name.startswith("peers")}
    times = (
        "network | parameters | MACs | original, ms | compressed, ms | predicted | times faster | accuracy"
    )
    sizes = "network | bytes | fewer | accuracy"
    peer = "ResNet-20, one plan, eager torch | original, ms | tensorly-torch, ms | tenfold, ms | times faster"
    parts = (
        [*_head(times), *(_time_row(name, row) for name, row in timed.items())],
        [*_head(sizes), *(_bytes_row(name, files) for name, files in small.items())] if small else [],
        [*_head(peer), *(_peer_row(name, row) for name, row in peers_of.items())],
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def _head(columns: str) -> tuple[str, str]:
    """The first lines of a table."""
    return f"| {columns} |", "|" + "---|" * (columns.count("|") + 1)


def _time_row(name: str, row: dict) -> str:
    accuracy = f"{row['original']:.2f} -> {row['accuracy']:.2f} %" if "accuracy" in row else "not trained"
    params = row.get("ratio", row.get("params", math.nan))
    macs = f"{row['macs']:.2f}" if name.startswith("imagenet") else f"{1 / row['macs_left']:.2f}"
    spread = row.get("spread_ms") or {}
    times = " | ".join(_spread(spread.get(kind)) for kind in ("original", "compressed"))
    predicted, faster = _short(row.get("predicted_ms")), runs.middle([row["latency"]], ".2f")
    return f"| {name} | {params:.2f}x | {macs}x | {times} | {predicted} | **{faster}x** | {accuracy} |"


def _spread(times: list[float] | None) -> str:
    """Median and quartiles."""
    if times is None:
        return "-"
    first, median, third = map(_short, times)
    return f"{median} ({first} to {third})"


def _short(time: float | None) -> str:
    """Three digits."""
    return "-" if time is None else f"{time:#.3g}".rstrip(".")


def _bytes_row(name: str, files: dict[str, dict]) -> str:
    """From the original in float32 to the compressed network in 8 bits."""
    sizes = " -> ".join(f"{file['size_bytes']:,}" for file in files.values())
    accuracies = " -> ".join(f"{file['accuracy']:.2f}" for file in files.values())
    fewer = files["original"]["size_bytes"] / files["int8"]["size_bytes"]
    return f"| {name} | {sizes} | **{fewer:.1f}x** | {accuracies} % |"


def _peer_row(name: str, row: dict) -> str:
    median = {kind: row[kind]["median_ms"] for kind in ("original", "tensorly-torch", "tenfold")}
    times = " | ".join(_spread(sorted([median[kind], *row[kind]["quartiles"]])) for kind in median)
    return f"| {name} | {times} | **{median['tensorly-torch'] / median['tenfold']:.2f}x** |"


if __name__ == "__main__":
    main()
