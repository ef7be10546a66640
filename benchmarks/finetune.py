"""Accuracy after fine-tuning: `--method btd-bayes` on CIFAR-10.

    TENFOLD_DATA=FOLDER python benchmarks/finetune.py run [--only resnet20] [--seeds 3] [OPTIONS OF compress]
    python benchmarks/finetune.py table

Results are kept in results/finetune.json; what is there is not run again.
"""

from __future__ import annotations

import itertools
import re

import runs

CELLS = [("resnet20", 3.0), ("resnet20", 6.8), ("resnet20", 13.7), ("resnet32", 3.0)]


def main() -> None:
    arguments, options = runs.parser(__doc__).parse_known_args()
    if arguments.action == "table":
        print(table(runs.load("finetune")))
        return
    for seed, (network, ratio) in itertools.product(range(arguments.seeds), CELLS):
        cell = f"{network} {ratio:g}x"
        if arguments.only in cell:
            key = " ".join([cell, f"seed {seed}", *options])
            words = runs.compressing(
                network, [f"params={1 / ratio}"], seed, "--method", "btd-bayes", *options
            )
            runs.kept("finetune", key, *words, busy=arguments.busy)


def table(results: dict[str, dict]) -> str:
    """The README's table, a row for each cell and options."""
    columns = "chosen by held-out | last epoch | before fine-tuning, held-out | seeds | minutes | options"
    lines = [f"| network | parameters | {columns} |", "|---|---|---|---|---|---|---|---|"]
    by_options: dict[str, list[dict]] = {}
    for key, row in results.items():
        by_options.setdefault(re.sub(r"seed [0-9]+", "", key), []).append(row)
    order = [f"{network} {ratio:g}x" for network, ratio in CELLS]
    for key, rows in sorted(by_options.items(), key=lambda item: order.index(" ".join(item[0].split()[:2]))):
        first = rows[0]
        cells = [f"{key.split()[0]} ({first['original']:.2f} %)", f"{first['ratio']:.2f}x"]
        cells += [
            f"**{runs.spread(row['accuracy'] for row in rows)}**",
            runs.spread(row["last"] for row in rows),
        ]
        cells += [runs.spread(recovered(row) for row in rows), str(len(rows)), runs.minutes(rows)]
        cells += [f"`{' '.join(key.split()[2:])}`"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def recovered(row: dict) -> float:
    """Held-out accuracy after the recovery."""
    return next(accuracy for phase, accuracy, _ in row["judged"] if phase == "recovered")


if __name__ == "__main__":
    main()
