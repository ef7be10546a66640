"""Accuracy after compression without labels: tenfold, and tensorly-torch's CP, also with tenfold's recovery.

    TENFOLD_DATA=FOLDER python benchmarks/oneshot.py run [--only resnet20] [--seeds 3]
    python benchmarks/oneshot.py table

FOLDER holds cifar10.zip and the checkpoints cifar10-resnet20.safetensors and -resnet56. Each tenfold row is
one run of the command line in a process of its own; its time is that of the whole process. Results are kept
in results/oneshot.json; what is there is not run again.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import runs

CELLS = [
    ("resnet20", 2.0),
    ("resnet20", 3.0),
    ("resnet20", 5.0),
    ("resnet20", 8.0),
    ("resnet56", 3.0),
    ("resnet56", 5.0),
]


def main() -> None:
    parser = runs.parser(__doc__)
    parser.add_argument("--peer", action="store_true", help="run tensorly-torch's CP too")
    parser.add_argument("--scheme", default="btd")
    arguments = parser.parse_args()
    if arguments.action == "table":
        print(table(runs.load("oneshot")))
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


def keep(key: str, work, *arguments) -> None:
    """Run `work` unless its result is kept already."""
    if key not in runs.load("oneshot"):
        print(key, flush=True)
        print(runs.store("oneshot", key, {**work(*arguments), **runs.MACHINE}), flush=True)


def tenfold(network: str, ratio: float, seed: int, scheme: str) -> dict[str, float]:
    """One run of the command line, no fit kept from an earlier one."""
    with tempfile.TemporaryDirectory() as folder:
        begin, out = time.perf_counter(), Path(folder) / "run"
        options = ("--epochs", "0", "--scheme", scheme, "--cache", str(Path(folder) / "fits"))
        found = runs.compress(out, network, [f"params={1 / ratio}"], seed, *options)
        seconds = time.perf_counter() - begin
    judged = [accuracy for _, accuracy, _ in found["judged"]]
    kept = ("accuracy", "original", "params", "macs", "size_bytes", "ratio", "latency")
    return {
        **{name: found[name] for name in kept},
        "held_out_one_shot": judged[0],
        "held_out": judged[-1],
        "seconds": round(seconds, 1),
    }


def peer(network: str, ratio: float, seed: int) -> dict[str, float]:
    """tensorly-torch's CP with re-estimated batch norms, then the same after tenfold's recovery."""
    from peers import compared

    from tenfold.data.source import load_data
    from tenfold.zoo.build import build
    from tenfold.zoo.weights import load_weights

    model = build(network, classes=10).eval()
    load_weights(model, runs.data() / f"cifar10-{network}.safetensors")
    return compared(model, load_data(str(runs.data() / "cifar10.zip")), ratio, 0, seed)


def table(results: dict[str, dict[str, float]]) -> str:
    """The README's table."""
    columns = "tensorly-torch CP | the same + tenfold's recovery | tenfold | MACs | faster, ONNX Runtime"
    lines = [f"| network | parameters | {columns} | seconds |", "|---|---|---|---|---|---|---|---|"]
    for network, ratio in CELLS:
        name = f"{network} {ratio:g}x"
        ours = [row for key, row in results.items() if key.startswith(f"{name} tenfold-btd ")]
        theirs = [row for key, row in results.items() if key.startswith(f"{name} peer ")]
        if not ours:
            continue
        as_it_comes = " ".join(f"{row['accuracy']:.2f} ({row['ratio']:.2f}x)" for row in theirs)
        recovered = " ".join(f"{row['recovered']:.2f}" for row in theirs)
        seeds = f"{len(ours)} seeds" if len(ours) > 1 else "1 seed"
        lines.append(
            f"| {network} ({ours[0]['original']:.2f} %) | {ours[0]['ratio']:.2f}x "
            f"| {as_it_comes} | {recovered} "
            f"| **{runs.spread(row['accuracy'] for row in ours)}**, {seeds} | {ours[0]['macs'] / 1e6:.1f} M "
            f"| {statistics.median(row['latency'] for row in ours):.2f}x "
            f"| {statistics.median(row['seconds'] for row in ours):.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
