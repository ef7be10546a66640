"""What each part is worth on ResNet-20: one part is changed at a time, everything else stays.

    TENFOLD_DATA=FOLDER python benchmarks/ablations.py run [--only metric] [--seeds 3]
    python benchmarks/ablations.py table [--only metric]

Choices are made by the held-out columns; the test column is there to see whether they were right. Plans by
Bayesian optimisation and by random search are those that benchmarks/samplers.py found; it must have run.
"Ends kept" leaves the first and the last layer as they are, as users of one rank fraction for all layers do.
Results are kept in results/ablations.json; what is there is not run again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import samplers

import runs

NETWORK = "resnet20"
SHORT = ("--epochs", "3")
RULES = ("energy", "evbmf", "uniform", "random")
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "metric": {name: ("--metric", name) for name in ("logits", "activations", "plain")},
    "scheme": {"btd": ()}
    | {name: ("--scheme", name) for name in ("tucker", "cp", "tt", "tt-tucker", "svd", "auto")},
    "recovery": {
        "as it is": (),
        "none": ("--recovery-steps", "0"),
        "logits alone": ("--recovery-features", "0"),
        "no blends": ("--recovery-mixed", "0"),
    },
    "selector": {
        "allocation": (),
        **{name: ("--selector", name) for name in RULES},
        **{f"{name}, ends kept": ("--selector", name, "--keep", "conv1,linear") for name in RULES},
        **dict.fromkeys(samplers.SAMPLERS, ()),
    },
    "schedule": {"one-cycle": SHORT}
    | {name: (*SHORT, "--schedule", name) for name in ("cosine-cyclic", "step", "constant")},
    "cycles": {str(n): (*SHORT, "--schedule", "cosine-cyclic", "--cycles", str(n)) for n in (1, 3)},
    "distillation": {"0": SHORT} | {w: (*SHORT, "--distillation", w) for w in ("0.9", "0.5", "1")},
    "rate": {r: (*SHORT, "--distillation", "0.9", "--rate", r) for r in ("0.005", "0.02", "0.05")},
    "averaging": {"0": (*SHORT, "--distillation", "0.9")}
    | {"0.99": (*SHORT, "--distillation", "0.9", "--averaging", "0.99")},
}
RATIOS = {"metric": (2.0, 3.0, 5.0)}
PLAIN = 5.0


def main() -> None:
    arguments = runs.parser(__doc__).parse_args()
    groups = [name for name in GROUPS if arguments.only in name]
    if arguments.action == "table":
        print("\n\n".join(filter(None, map(table, groups))))
        return
    for seed in range(arguments.seeds):
        first: dict[tuple[str, ...], str] = {}
        for group, key, command in cells(seed):
            kept = first.setdefault(command, key)  # one command may stand in several groups
            if group in groups:
                found = runs.kept("ablations", kept, *command, busy=arguments.busy)
                if kept != key:
                    runs.store("ablations", key, found)


def cells(seed: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(group, key, command) of every variant that can be run."""
    for group, variants in GROUPS.items():
        for ratio, name in itertools.product(RATIOS.get(group, (PLAIN,)), variants):
            budgets, options = [f"params={1 / ratio}"], variants[name]
            if group == "selector" and name in samplers.SAMPLERS:
                plan = runs.folder("samplers", f"{name} seed {seed}") / "plan.json"
                if not plan.exists():
                    continue
                budgets, options = [], ("--plan", str(plan))
            command = runs.compressing(NETWORK, budgets, seed, "--held-out", "5000", *options)
            yield group, f"{group} {ratio:g}x {name} seed {seed}", tuple(command)


def table(group: str) -> str:
    """One part, every variant."""
    results = runs.load("ablations")
    columns = "parameters | held-out at once | held-out at the end | its loss | test | seeds | seconds"
    lines = [f"| {group} | {columns} |", "|---|---|---|---|---|---|---|---|"]
    for ratio, name in itertools.product(RATIOS.get(group, (PLAIN,)), GROUPS[group]):
        rows = [row for key, row in results.items() if key.startswith(f"{group} {ratio:g}x {name} seed ")]
        if rows:
            lines.append(
                f"| {name} | {rows[0]['ratio']:.2f}x | {runs.spread(row['judged'][0][1] for row in rows)} "
                f"| {runs.spread(row['judged'][-1][1] for row in rows)} "
                f"| {runs.spread((row['judged'][-1][2] for row in rows), '.4f')} "
                f"| {runs.spread(row['accuracy'] for row in rows)} | {len(rows)} "
                f"| {runs.middle(row['seconds'] for row in rows)} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""


if __name__ == "__main__":
    main()
