"""What each part is worth on ResNet-20: one part is changed at a time, everything else stays.

    TENFOLD_DATA=FOLDER python benchmarks/ablations.py run [--only metric] [--seeds 3]
    python benchmarks/ablations.py table [--only metric]

Choices are made by the held-out columns; the test column is there to see whether they were right. Results are
kept in results/ablations.json; what is there is not run again.
"""

from __future__ import annotations

import argparse
import itertools

import runs

NETWORK = "resnet20"
SHORT = ("--epochs", "5")
SEARCH = ("--selector", "bayes", "--trials", "40")
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "metric": {name: ("--metric", name) for name in ("logits", "activations", "plain")},
    "scheme": {
        name: ("--scheme", name) for name in ("btd", "tucker", "cp", "tt", "tt-tucker", "svd", "auto")
    },
    "recovery": {
        "as it is": (),
        "none": ("--recovery-steps", "0"),
        "logits alone": ("--recovery-features", "0"),
        "no blends": ("--recovery-mixed", "0"),
    },
    "selector": {
        **{name: ("--selector", name) for name in ("allocation", "energy", "evbmf", "uniform", "random")},
        "bayes, corrections": SEARCH,
        "bayes, trends": (*SEARCH, "--space", "trends"),
        "bayes, ranks": (*SEARCH, "--space", "ranks"),
        "random search, corrections": (*SEARCH, "--sampler", "random"),
    },
    "schedule": {
        name: (*SHORT, "--schedule", name, "--cycles", "1")
        for name in ("cosine-cyclic", "one-cycle", "step", "constant")
    },
    "cycles": {str(n): (*SHORT, "--schedule", "cosine-cyclic", "--cycles", str(n)) for n in (1, 3)},
    "distillation": {w: (*SHORT, "--distillation", w) for w in ("0", "0.5", "0.9", "1")},
    "rate": {r: (*SHORT, "--distillation", "0.9", "--rate", r) for r in ("0.005", "0.02", "0.05")},
    "averaging": {a: (*SHORT, "--distillation", "0.9", "--averaging", a) for a in ("0", "0.99")},
}
RATIOS = {"metric": (2.0, 3.0, 5.0)}
PLAIN = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("--only", default="", help="groups whose name contains this")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    groups = [name for name in GROUPS if arguments.only in name]
    if arguments.action == "table":
        print("\n\n".join(filter(None, map(table, groups))))
        return
    held_out = ("--held-out", "5000")
    for seed, group in itertools.product(range(arguments.seeds), groups):
        for ratio, (name, options) in itertools.product(RATIOS.get(group, (PLAIN,)), GROUPS[group].items()):
            key = f"{group} {ratio:g}x {name} seed {seed}"
            runs.keep("ablations", key, NETWORK, ratio, seed, *held_out, *options)


def table(group: str) -> str:
    """One part, every variant."""
    results = runs.load("ablations")
    lines = [
        f"| {group} | parameters | held-out at once | held-out at the end | its loss | test | seeds | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for ratio, name in itertools.product(RATIOS.get(group, (PLAIN,)), GROUPS[group]):
        rows = [row for key, row in results.items() if key.startswith(f"{group} {ratio:g}x {name} seed ")]
        if rows:
            lines.append(
                f"| {name} | {rows[0]['ratio']:.2f}x | {runs.spread(row['judged'][0][1] for row in rows)} "
                f"| {runs.spread(row['judged'][-1][1] for row in rows)} "
                f"| {runs.spread((row['judged'][-1][2] for row in rows), '.4f')} "
                f"| {runs.spread(row['accuracy'] for row in rows)} | {len(rows)} "
                f"| {sum(row['seconds'] for row in rows) / len(rows):.0f} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""


if __name__ == "__main__":
    main()
