"""Accuracy after compression without labels: tenfold, and tensorly-torch's CP as it comes and with tenfold's recovery.

    TENFOLD_DATA=FOLDER python benchmarks/oneshot.py run [--only resnet20] [--seeds 3]
    python benchmarks/oneshot.py table

FOLDER holds cifar10.zip and the checkpoints cifar10-resnet20.safetensors and -resnet56. Each tenfold row is one
run of the command line in a process of its own; its time is that of the whole process. Results are kept in
results/oneshot.json; what is there is not run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "oneshot.json"
CELLS = [
    ("resnet20", 2.0),
    ("resnet20", 3.0),
    ("resnet20", 5.0),
    ("resnet20", 8.0),
    ("resnet56", 3.0),
    ("resnet56", 5.0),
]
ASKED = {
    ("resnet20", 2.0): (91.4, 91.7),
    ("resnet20", 3.0): (90.4, 91.2),
    ("resnet20", 5.0): (87.6, 89.5),
    ("resnet20", 8.0): (81.5, 85.0),
    ("resnet56", 3.0): (92.3, 93.1),
    ("resnet56", 5.0): (90.0, 92.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("--only", default="", help="run cells whose name contains this")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--peer", action="store_true", help="run tensorly-torch's CP too")
    parser.add_argument("--scheme", default="btd")
    arguments = parser.parse_args()
    if arguments.action == "table":
        print(table(load()))
        return
    for seed, (network, ratio) in itertools.product(range(arguments.seeds), CELLS):
        if arguments.only in f"{network} {ratio:g}x":
            keep(
                f"{network} {ratio:g}x tenfold-{arguments.scheme} seed {seed}",
                tenfold,
                network,
                ratio,
                seed,
                arguments.scheme,
            )
            if arguments.peer and seed == 0:
                keep(f"{network} {ratio:g}x peer seed {seed}", peer, network, ratio, seed)


def load() -> dict[str, dict[str, float]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def keep(key: str, work, *arguments) -> None:
    """Run `work` unless its result is kept already."""
    if key in load():
        return
    print(key, flush=True)
    found = {
        **work(*arguments),
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**load(), key: found}, indent=1) + "\n")
    print(found, flush=True)


def data_folder() -> Path:
    return Path(os.environ["TENFOLD_DATA"])


def tenfold(network: str, ratio: float, seed: int, scheme: str) -> dict[str, float]:
    """One run of the command line, no fit kept from an earlier one."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "tenfold",
            "compress",
            "--arch",
            network,
            "--epochs",
            "0",
            "--out",
            str(out),
        ]
        command += ["--weights", str(data_folder() / f"cifar10-{network}.safetensors"), "--scheme", scheme]
        command += [
            "--data",
            str(data_folder() / "cifar10.zip"),
            "--budget",
            f"params={1 / ratio}",
            "--seed",
            str(seed),
        ]
        begin = time.perf_counter()
        subprocess.run([*command, "--cache", str(Path(folder) / "fits")], check=True)
        seconds = time.perf_counter() - begin
        report = json.loads((out / "report.json").read_text())
    judged = [row for row in report["history"] if "held_out_accuracy" in row]
    return {
        "accuracy": report["after"]["accuracy"],
        "original": report["before"]["accuracy"],
        "held_out_one_shot": judged[0]["held_out_accuracy"],
        "held_out": judged[-1]["held_out_accuracy"],
        "params": report["after"]["params"],
        "macs": report["after"]["macs"],
        "ratio": report["before"]["params"] / report["after"]["params"],
        "latency": report["before"]["latency_ms"] / report["after"]["latency_ms"],
        "seconds": round(seconds, 1),
    }


def peer(network: str, ratio: float, seed: int) -> dict[str, float]:
    """tensorly-torch's CP with re-estimated batch norms, then the same after tenfold's recovery."""
    from peers import peer_cp

    from tenfold.data.dataset import calibration_and_held_out
    from tenfold.data.source import load_data
    from tenfold.options import Options
    from tenfold.train.batches import augmented
    from tenfold.train.evaluate import evaluate
    from tenfold.train.normalisation import re_estimate_
    from tenfold.train.recover import recover
    from tenfold.train.running import Running
    from tenfold.zoo.build import build
    from tenfold.zoo.weights import load_weights

    options = Options()
    splits = load_data(str(data_folder() / "cifar10.zip"))
    images, _ = calibration_and_held_out(splits.train, calibration=2000, held_out=5000, seed=seed)
    model = build(network, classes=10).eval()
    load_weights(model, data_folder() / f"cifar10-{network}.safetensors")
    total = sum(p.numel() for p in model.parameters())
    begin = time.perf_counter()
    made = peer_cp(model, int(total / ratio))
    seconds = time.perf_counter() - begin

    def accuracy() -> float:
        passes = (
            augmented(images, splits.preprocessing, options.augmentation, batch_size=250, seed=n)
            for n in (1, 2)
        )
        re_estimate_(made, itertools.chain.from_iterable(passes))
        return evaluate(made, splits.test, splits.preprocessing).accuracy

    as_it_comes = accuracy()
    states = recover(
        made,
        model,
        images,
        splits.preprocessing,
        settings=options.recovery,
        augmentation=options.augmentation,
        running=Running(seed),
    )
    for _ in states:
        pass
    shipped = sum(p.numel() for p in made.parameters())
    return {
        "accuracy": as_it_comes,
        "recovered": accuracy(),
        "params": shipped,
        "ratio": total / shipped,
        "fit_seconds": round(seconds, 1),
    }


def table(results: dict[str, dict[str, float]]) -> str:
    """The README's table."""
    lines = [
        "| network | parameters | tensorly-torch CP | the same + tenfold's recovery | tenfold | MACs | faster, ONNX Runtime | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network, ratio in CELLS:
        name = f"{network} {ratio:g}x"
        ours = [row for key, row in results.items() if key.startswith(f"{name} tenfold-btd ")]
        theirs = [row for key, row in results.items() if key.startswith(f"{name} peer ")]
        if not ours:
            continue
        accuracy = [row["accuracy"] for row in ours]
        as_it_comes = " ".join(f"{row['accuracy']:.2f} ({row['ratio']:.2f}x)" for row in theirs)
        recovered = " ".join(f"{row['recovered']:.2f}" for row in theirs)
        spread = (
            f" ({min(accuracy):.2f} to {max(accuracy):.2f}, {len(accuracy)} seeds)"
            if len(accuracy) > 1
            else " (1 seed)"
        )
        lines.append(
            f"| {network} ({ours[0]['original']:.2f} %) | {ours[0]['ratio']:.2f}x "
            f"| {as_it_comes} "
            f"| {recovered} "
            f"| **{statistics.mean(accuracy):.2f}**{spread} | {ours[0]['macs'] / 1e6:.1f} M "
            f"| {statistics.median(row['latency'] for row in ours):.2f}x | {statistics.median(row['seconds'] for row in ours):.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
