"""Sample efficiency on a real network: least held-out loss after so many trials, by sampler.

    TENFOLD_DATA=FOLDER python benchmarks/samplers.py run [--only random] [--seeds 2] [OPTIONS OF search]
    python benchmarks/samplers.py table

`tenfold search` for ResNet-20 at a fifth of its parameters. All samplers begin with the same plans
(allocation, EVBMF, energy, uniform) and are given the same objective: cross-entropy on 2,000 held-out images
after 20 steps of recovery. Results are kept in results/samplers.json; what is there is not run again.
"""

from __future__ import annotations

import itertools
import json

import runs

SAMPLERS = {
    "tenfold": ("--sampler", "tenfold"),
    "tenfold, trends": ("--sampler", "tenfold", "--space", "trends"),
    "tenfold, ranks": ("--sampler", "tenfold", "--space", "ranks"),
    "random": ("--sampler", "random"),
    "nsga2": ("--sampler", "nsga2"),
    "tpe": ("--sampler", "tpe"),
}
COUNTS = (10, 20, 40, 80)
RATIO = 5.0
STEPS = ("--trial-steps", "20")


def main() -> None:
    arguments, options = runs.parser(__doc__).parse_known_args()
    if arguments.action == "table":
        print(table(runs.load("samplers")))
        return
    for seed, (name, sampler) in itertools.product(range(arguments.seeds), SAMPLERS.items()):
        key = f"{name} seed {seed}"
        if arguments.only in name and key not in runs.load("samplers"):
            print(key, flush=True)
            found = search(key, seed, *sampler, *options)
            print(runs.store("samplers", key, found, busy=arguments.busy), flush=True)


def search(key: str, seed: int, *options: str) -> dict:
    """The loss of each trial, in order; None of those that were stopped early."""
    out = runs.folder("samplers", key)
    asked = ["--selector", "bayes", "--until", "plan", "--trials", str(max(COUNTS)), *STEPS, *options]
    runs.go(out, *runs.compressing("resnet20", [f"params={1 / RATIO}"], seed, *asked))
    trials = json.loads((out / "search.json").read_text())["trials"]
    return {
        "losses": [trial["loss"] if trial["state"] == "complete" else None for trial in trials],
        "seconds": sum(trial["seconds"] or 0 for trial in trials),
    }


def best(row: dict, count: int) -> float:
    """Least loss of the first `count` trials."""
    return min(loss for loss in row["losses"][:count] if loss is not None)


def table(results: dict[str, dict]) -> str:
    """Least held-out loss so far, mean over seeds with the ends."""
    counts = " | ".join(f"{n} trials" for n in COUNTS)
    lines = [
        f"| sampler | the allocation's plan | {counts} | seeds | seconds |",
        f"|---|---|{'---|' * len(COUNTS)}---|---|",
    ]
    for name in SAMPLERS:
        rows = [row for key, row in results.items() if key.startswith(f"{name} seed")]
        if rows:
            cells = [runs.spread((best(row, count) for row in rows), ".4f") for count in (1, *COUNTS)]
            seconds = runs.middle(row["seconds"] for row in rows)
            lines.append(f"| {name} | {' | '.join(cells)} | {len(rows)} | {seconds} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
