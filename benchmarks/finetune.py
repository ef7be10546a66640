"""Accuracy after fine-tuning: `--method btd-bayes` on CIFAR-10.

    TENFOLD_DATA=FOLDER python benchmarks/finetune.py run [--only resnet20] [--seeds 3] [OPTIONS OF compress]
    python benchmarks/finetune.py table

Results are kept in results/finetune.json; what is there is not run again.
"""

from __future__ import annotations

import argparse
import itertools
import statistics

import runs

CELLS = [("resnet20", 3.0), ("resnet20", 6.8), ("resnet20", 13.7), ("resnet32", 3.0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("--only", default="", help="run cells whose name contains this")
    parser.add_argument("--seeds", type=int, default=1)
    arguments, options = parser.parse_known_args()
    if arguments.action == "table":
        print(table(runs.load("finetune")))
        return
    for seed, (network, ratio) in itertools.product(range(arguments.seeds), CELLS):
        cell = f"{network} {ratio:g}x"
        if arguments.only in cell:
            key = " ".join([cell, f"seed {seed}", *options])
            runs.keep("finetune", key, network, ratio, seed, "--method", "btd-bayes", *options)


def table(results: dict[str, dict]) -> str:
    """The README's table."""
    lines = [
        "| network | parameters | chosen by held-out | last epoch | before fine-tuning, held-out | epochs | seeds | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network, ratio in CELLS:
        rows = [row for key, row in results.items() if key.startswith(f"{network} {ratio:g}x seed")]
        if rows:
            lines.append(
                f"| {network} ({rows[0]['original']:.2f} %) | {rows[0]['ratio']:.2f}x "
                f"| **{runs.spread(row['accuracy'] for row in rows)}** | {runs.spread(row['last'] for row in rows)} "
                f"| {runs.spread(recovered(row) for row in rows)} | {rows[0]['epochs']} | {len(rows)} "
                f"| {statistics.median(row['seconds'] for row in rows) / 60:.0f} |"
            )
    return "\n".join(lines)


def recovered(row: dict) -> float:
    """Held-out accuracy after the recovery."""
    return next(accuracy for phase, accuracy, _ in row["judged"] if phase == "recovered")


if __name__ == "__main__":
    main()
