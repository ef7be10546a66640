"""Steps per second of a fine-tuning, beside a plain PyTorch loop over the same network and batches.

    TENFOLD_DATA=FOLDER python benchmarks/engine.py

ResNet-20 at a fifth of its parameters (block terms), batches of 128 of CIFAR-10, in turns: the plain loop,
tenfold computing the same thing (chains, float32), and tenfold as it chooses. Memory is the highest resident
set of a process that does only that.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import tenfold
from tenfold.compression.oneshot import decompose_model
from tenfold.core.plan import Budget
from tenfold.data.source import load_data
from tenfold.options import Options
from tenfold.pipeline import material_of, plan_for
from tenfold.runs.saved import save_model
from tenfold.train.batches import Augmentation, Batches
from tenfold.train.loop import Step
from tenfold.train.supervised import Training, train_
from tenfold.zoo.build import build
from tenfold.zoo.weights import load_weights

KINDS = ("plain", "the same by tenfold", "tenfold as it chooses")
ROUNDS, STEPS, WARM = 7, 12, 3
RESULTS = Path(__file__).parent / "results" / "engine.json"


def main() -> None:
    data = load_data(os.environ["TENFOLD_DATA"] + "/cifar10.zip")
    if len(sys.argv) > 2:
        walk = walking(sys.argv[1], tenfold.load(sys.argv[2]), data)
        for _ in range(STEPS):
            next(walk)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    model = network(data)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder, metadata={})
        used = {kind: memory(kind, folder) for kind in KINDS}
    found = {kind: {"seconds a step": s, "MB": used[kind]} for kind, s in timed(model, data).items()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def table(found: dict[str, dict]) -> str:
    """A row for each kind."""
    plain = found["plain"]
    lines = ["| loop | steps a second | of the plain loop | memory, MB |", "|---|---|---|---|"]
    for kind, row in found.items():
        seconds = row["seconds a step"]
        share = plain["seconds a step"] / seconds
        lines.append(f"| {kind} | {1 / seconds:.2f} | {share:.2f} | {row['MB']:.0f} |")
    return "\n".join(lines)


def timed(model: nn.Module, data) -> dict[str, float]:
    """Median seconds of a step, the kinds in turns."""
    every = {kind: walking(kind, copy.deepcopy(model), data) for kind in KINDS}
    for walk in every.values():
        for _ in range(WARM):
            next(walk)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, walk in every.items():
            begin = time.perf_counter()
            for _ in range(STEPS):
                next(walk)
            times[kind].append((time.perf_counter() - begin) / STEPS)
    return {kind: statistics.median(seconds) for kind, seconds in times.items()}


def memory(kind: str, folder: str) -> float:
    """Highest resident set of a process that trains the network of a folder and does nothing else, MB."""
    command = [sys.executable, __file__, kind, folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def walking(kind: str, model: nn.Module, data) -> Iterator[object]:
    """A training of `model`, a step a time."""
    model.to(memory_format=torch.channels_last)
    if kind == "plain":
        return plain(model, data)
    how = {"form": "chain", "precision": "float32"} if kind == KINDS[1] else {}
    settings = Training(epochs=9, **how)
    rows = train_(model, data.train, data.preprocessing, settings=settings, augmentation=Augmentation())
    return (row for row in rows if isinstance(row, Step))


def network(data) -> nn.Module:
    """ResNet-20 at a fifth."""
    model = build("resnet20", classes=10).eval()
    load_weights(model, Path(os.environ["TENFOLD_DATA"]) / "cifar10-resnet20.safetensors")
    options = Options(calibration=64, metric="plain")
    images = material_of(model, data, options).images
    plan = plan_for(model, images, data.preprocessing, budget=Budget(params=0.2), options=options).plan
    return decompose_model(model, plan, data.preprocessing.apply(images[:1]))


def plain(model: nn.Module, data) -> Iterator[object]:
    """What anyone would write."""
    batches = Batches(data.train.images, data.preprocessing, Augmentation(), batch_size=128, seed=0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    model.train()
    step = 0
    while True:
        step += 1
        images, places = batches.at(step)
        loss = functional.cross_entropy(model(images), data.train.labels[places])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield step


if __name__ == "__main__":
    main()
