"""What the pages about methods say was measured on the digits: schemes, rules, ways to train, their parts.

    python scripts/docs_measurements.py run RUN     # RUN is the directory that `tenfold demo` made
    python scripts/docs_measurements.py table       # writes docs/measured/*.md

Everything runs on one thread. Results are kept in docs/measured/results.json; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

import tenfold
from tenfold.options import Learning
from tenfold.pipeline import learn
from tenfold.train.batches import Augmentation
from tenfold.train.recover import Recovery
from tenfold.train.supervised import Training

MEASURED = Path(__file__).parents[1] / "docs" / "measured"
RESULTS = MEASURED / "results.json"
SEEDS = (0, 1, 2)
SCHEMES = ("svd", "tucker", "cp", "btd", "tt", "tt-tucker")
RULES = ("allocation", "evbmf", "energy", "uniform", "random")
BUDGET = 0.04
LEARNED = 0.1
_SHIFTS = Augmentation(padding=1, flip=False)

_TRAINING = Training(batch_size=64, rate=0.1, form="chain", precision="float32")
_STEPS = Learning(replace(_TRAINING, schedule="exp-cyclic"), epochs=1, tolerance=0.0)
# Of twelve epochs in all: before the fit, of one each under the constraint; the chains have the rest.
EPOCHS = 12
WAYS = {
    "learning-compression": replace(_STEPS, warm_up=2, steps=4),
    "trained, then compressed": replace(_STEPS, warm_up=8, steps=0),
    "chains from the start": replace(_STEPS, warm_up=0, steps=0),
}
# Learning-compression with one thing changed.
_LC = WAYS["learning-compression"]
PARTS = {
    "fixed ranks": replace(_LC, ranks="fixed"),
    "ranks by EVBMF and Bayes": replace(_LC, ranks="evbmf+bayes"),
    "quadratic penalty": replace(_LC, multipliers=False),
} | {
    f"rate by {name}": replace(_LC, training=replace(_LC.training, schedule=name))
    for name in ("cosine-cyclic", "one-cycle", "step", "constant")
}
OTHER_SCHEMES = {"Tucker alone": "tucker", "TT alone": "tt", "block terms": "btd"}
LEARNED_BY = WAYS | PARTS | dict.fromkeys(OTHER_SCHEMES, _LC)


def main() -> None:
    """Run or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("run", nargs="?", type=Path, help="directory of a demo run")
    arguments = parser.parse_args()
    if arguments.action == "run":
        torch.set_num_threads(1)
        measure(arguments.run)
    write_tables()


def measure(run: Path) -> None:
    """Everything that is not known yet."""
    data = tenfold.load_data("digits")
    trained = network(seed=0)
    trained.load_state_dict(safetensors.torch.load_file(run / "original.safetensors"))
    trained.eval()
    for seed in SEEDS:
        for scheme in SCHEMES:
            keep(
                f"scheme {scheme} seed {seed}",
                lambda s=scheme, n=seed: compressed(trained, data, s, "allocation", n),
            )
        for rule in RULES:
            keep(f"rule {rule} seed {seed}", lambda r=rule, n=seed: compressed(trained, data, "btd", r, n))
        for way in LEARNED_BY:
            keep(f"way {way} seed {seed}", lambda w=way, n=seed: learned(data, w, n))


def network(*, seed: int) -> nn.Module:
    """The network of `tenfold demo`, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return tenfold.build("small", classes=10, channels=1)


def compressed(model: nn.Module, data: tenfold.Splits, scheme: str, rule: str, seed: int) -> dict[str, Any]:
    """One shot, then a short recovery, without labels."""
    options = tenfold.Options(
        selector=rule,
        augmentation=_SHIFTS,
        recovery=Recovery(steps=100, form="chain", precision="float32"),
        workers=1,
        measured=0,
        seed=seed,
    )
    made = tenfold.compress(model, data, budget=tenfold.Budget(params=BUDGET), scheme=scheme, options=options)
    return told(made)


def learned(data: tenfold.Splits, way: str, seed: int) -> dict[str, Any]:
    """Twelve epochs from random weights."""
    learning = LEARNED_BY[way]
    options = tenfold.Options(
        learning=learning,
        training=replace(_TRAINING, epochs=EPOCHS - learning.warm_up - learning.steps),
        recovery=Recovery(steps=0),  # the epochs are what is compared
        augmentation=_SHIFTS,
        workers=1,
        measured=0,
        seed=seed,
    )
    scheme = OTHER_SCHEMES.get(way, "tt-tucker")
    budget = tenfold.Budget(params=LEARNED)
    made = learn(network(seed=seed), data, budget=budget, scheme=scheme, options=options)
    return told(made)


def told(made: tenfold.Compressed) -> dict[str, Any]:
    """The figures of a run."""
    report = made.report
    judged = [row for row in report.history if "held_out_accuracy" in row]
    return {
        "accuracy": report.after.accuracy,
        "params": report.after.params,
        "macs": report.after.macs,
        "ratio": report.before.params / report.after.params,
        "judged": [[row["phase"], row["held_out_accuracy"], row["held_out_loss"]] for row in judged],
        "plan": json.loads(made.plan.to_json()),
    }


def load() -> dict[str, Any]:
    """What is known."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def keep(key: str, work: Callable[[], dict[str, Any]]) -> None:
    """Do `work` unless its result is kept already."""
    if key in load():
        return
    begin = time.process_time()
    found = {**work(), "machine": platform.machine(), "cores": os.cpu_count()}
    found["seconds"] = round(time.process_time() - begin, 1)
    MEASURED.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**load(), key: found}, indent=1) + "\n")
    print(key, found["accuracy"], found["judged"], found["seconds"], flush=True)


def write_tables() -> None:
    """The tables that the pages include."""
    known = load()
    at_once = ("held-out at once, %", lambda row: row["judged"][0][1])
    end = ("held-out at the end, %", lambda row: row["judged"][-1][1])
    test = ("test, %", lambda row: row["accuracy"])
    macs = ("MACs", lambda row: row["macs"])
    for file, kind, names, columns in (
        ("schemes", "scheme", SCHEMES, (at_once, end, test, macs)),
        ("rules", "rule", RULES, (at_once, end, test, macs)),
        ("ways", "way", WAYS, (test, macs)),
        ("parts", "way", ("learning-compression", *PARTS, *OTHER_SCHEMES), (test, macs)),
    ):
        rows = [
            (name, [known[k] for s in SEEDS if (k := f"{kind} {name} seed {s}") in known]) for name in names
        ]
        head = [kind, "parameters", *(title for title, _ in columns), "seeds"]
        lines = [" | ".join(head), " | ".join(["---"] * len(head))]
        for name, found in rows:
            if found:
                cells = [f"{statistics.mean(row['ratio'] for row in found):.1f}x fewer"]
                cells += [spread([read(row) for row in found]) for _, read in columns]
                lines.append(" | ".join([name, *cells, str(len(found))]))
        (MEASURED / f"{file}.md").write_text(as_table(lines))
    (MEASURED / "search.md").write_text(as_table(search_lines()))


def search_lines() -> list[str]:
    """Of benchmarks/synthetic_search.py, over the seeds that every sampler has run."""
    known = json.loads((Path(__file__).parents[1] / "benchmarks/results/synthetic_search.json").read_text())
    samplers = ("tenfold", "tpe", "nsga2", "random")
    cells = [(kind, space) for kind in ("predicted", "blind") for space in ("corrections", "ranks")]
    keys = [f"{kind} {space} {sampler}" for kind, space in cells for sampler in samplers]
    seeds = [n for n in range(10) if all(f"{key} seed {n}" in known for key in keys)]
    lines = [" | ".join(["table", "space", *samplers, "best known", "seeds"]), " | ".join(["---"] * 8)]
    for kind, space in cells:
        found = [[known[f"{kind} {space} {s} seed {n}"]["volumes"]["40"] for n in seeds] for s in samplers]
        best = statistics.mean(known[f"{kind} best seed {n}"] for n in seeds)
        means = [f"{statistics.mean(values):.3f}" for values in found]
        lines.append(" | ".join([kind, space, *means, f"{best:.3f}", str(len(seeds))]))
    return lines


def as_table(lines: list[str]) -> str:
    """Rows of cells as Markdown."""
    return "".join(f"| {line} |\n" for line in lines)


def spread(values: list[float]) -> str:
    """Mean, and the distance of the extremes from it."""
    mean = statistics.mean(values)
    if max(values) >= 1000:
        return f"{mean:,.0f}"
    return f"{mean:.1f} ± {max(abs(value - mean) for value in values):.1f}"


if __name__ == "__main__":
    main()
