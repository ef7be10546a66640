"""No pre-training: learning-compression beside what else the same number of epochs could be spent on.

    TENFOLD_DATA=FOLDER python benchmarks/learning.py run [--only "resnet20 lc"] [--epochs 30] [--by sgd] ...
    python benchmarks/learning.py table [--epochs 30] [--by sgd] ...

Every way ends with at most 30 % of the parameters and 33 % of the MACs, but for the dense network, and sees
the training images `--epochs` times in all; `--seeds 3` takes three seeds. All are stepped by one optimiser,
`--by`, at the rates that suit it. Further options are those of `tenfold learn`, for learning-compression.
All ways but "dense" and "same chains from scratch" share their warm-up, a dense network. For a residual
network and less than 60 epochs it has a third of them, at a constant rate, which falls with the chains;
they learn from labels alone, for they will know more than it does. From 60 epochs it has half of them, is
trained to its end, and teaches its chains, by its mean answer to an image and its mirror image. That of the
others has two thirds, is trained to its end and teaches; their chains begin with a recovery of 220 steps
(half an epoch, not counted). Learning-compression goes on with four L steps of together one epoch; "no L
steps" gives that time to the chains; method A compresses and fine-tunes. The chains trained from scratch are
those of the run "lc" of the same seed, started from the fit of random kernels.
FOLDER holds cifar10.zip; Fashion-MNIST is found by its name; `small` is on digits, needs no file, and takes
minutes.

Results are kept in results/learning.json, and what other ways begin with in results/learning/; what is there
is not run again, and what was stopped goes on.
"""

from __future__ import annotations

import itertools
import os
import re
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import runs

BUDGET = ("--budget", "params=0.3", "--budget", "macs=0.33")
NETWORKS = {
    "resnet20": ("--arch", "resnet20"),
    "resnet32": ("--arch", "resnet32"),
    "vgg": ("--arch", "networks:vgg", "--data", "fashion-mnist", "--mean", "0.286", "--std", "0.353"),
    "small": ("--arch", "small", "--data", "digits", "--padding", "1", "--no-flip", "--batch", "64"),
}
# Trained for other scripts, without any of the ways.
TRAINED = {"vgg16-bn": ("--arch", "vgg16-bn")}
# Options of each way of learning-compression; the parts that change one thing are compared on PARTS_OF alone.
LEARNED = {
    "lc": (),
    "tucker alone": ("--scheme", "tucker"),
    "tt alone": ("--scheme", "tt"),
    "block terms": ("--scheme", "btd"),
}
PARTS = {
    "no L steps": ("--steps", "0"),
    "ranks by evbmf+bayes": ("--ranks", "evbmf+bayes"),
    "step": ("--step-schedule", "step"),
    "one-cycle": ("--step-schedule", "one-cycle"),
    "cosine-cyclic": ("--step-schedule", "cosine-cyclic"),
    "quadratic penalty": ("--no-multipliers",),
}
OTHERS = ("dense", "same chains from scratch", "dense, then method A")
PARTS_OF = ("resnet20", "small")
PLAIN = ("--warm-up", "0", "--steps", "0", "--rate", "0.1")
# Of chains that are fits of kernels whose rate was still high, and of kernels that were trained to their end.
CHAINS = ("--rate", "0.05", "--cycles", "1")
CONTINUED = (*CHAINS, "--schedule", "cosine-cyclic", "--distillation", "0", "--recovery-steps", "0")
RETRAINED = (*CHAINS, "--weight-decay", "1e-4", "--distillation", "0.9", "--recovery-steps", "220")
TAUGHT = (*CHAINS, "--distillation", "0.9", "--mirrored", "--recovery-steps", "0")
# Networks whose matrices decay under Muon, and the epochs in all from which their dense network is trained to
# its end, and teaches; the chains that it teaches underfit, and decay less.
RESIDUAL = ("resnet20", "resnet32")
LONG = 60
DECAY = ("--weight-decay", "0.1")
DECAY_TAUGHT = ("--weight-decay", "0.01")
HOLDING = ("--rate", "0.05", "--schedule", "constant")
DENSE = ("dense", "dense at a constant rate")
TIGHTENED = ("--warm-up", "0", "--steps", "4", "--step-rate", "0.05", "--growth", "2")
RANKS = ("--choices", "1", "--generous", "1")
METHOD_A = ("--method", "btd-bayes", "--trials", "16", "--trial-steps", "0")
OPTIMISERS = ("muon", "sgd")


def main() -> None:
    parser = runs.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=30, help="in all, at least 10")
    parser.add_argument("--by", choices=OPTIMISERS, default="muon", help="optimiser")
    arguments, options = parser.parse_known_args()
    if arguments.action == "table":
        print(table(runs.load("learning"), arguments.epochs, arguments.by, options))
        return
    for seed, (network, way) in itertools.product(range(arguments.seeds), cells()):
        if arguments.only in f"{network} {way}":
            Cell(network, arguments.epochs, seed, options, arguments.by, arguments.busy).run(way)


def cells() -> list[tuple[str, str]]:
    """(network, way), each after those that it needs."""
    whole = [(network, way) for network in NETWORKS for way in (*LEARNED, *OTHERS)]
    return [*whole, *itertools.product(PARTS_OF, PARTS)]


@dataclass(frozen=True)
class Cell:
    """The ways of one network, number of epochs, seed and optimiser."""

    network: str
    epochs: int
    seed: int
    options: list[str]
    by: str = "muon"
    busy: bool = False

    def run(self, way: str) -> dict:
        """What came of a way, from what is kept or from a run."""
        if way in LEARNED or way in PARTS:
            changed = (LEARNED | PARTS)[way]
            own = (*self._begin(), *TIGHTENED, *RANKS, *self._split(changed), *changed)
            return self._keep(way, "learn", (*own, *self.options), self.options)
        if way == "dense":
            return self._dense()
        if way == "same chains from scratch":
            self.run("lc")
            chains = runs.part("learning", self._key("lc", self.options), "plan.json")
            own = ("--plan", str(chains), *PLAIN, *self._decay(taught=False), "--epochs", str(self.epochs))
            return self._keep(way, "learn", own, self.options)
        own = (*self._begin(), *METHOD_A, "--epochs", str(self.epochs - self.warm_up))
        return self._keep(way, "compress", own)

    @property
    def warm_up(self) -> int:
        """Epochs of the dense network that most ways begin with."""
        if self.network not in RESIDUAL:
            return 2 * self.epochs // 3
        return self.epochs // (3 if self._held else 2)

    def _begin(self) -> tuple[str, ...]:
        """What ways that begin with it have in common: the budget, its weights, how chains are trained."""
        weights = replace(self, epochs=self.warm_up).trained(held=self._held)
        chains = RETRAINED if self.network not in RESIDUAL else CONTINUED if self._held else TAUGHT
        return *BUDGET, "--weights", str(weights), *chains, *self._decay(taught=not self._held)

    @property
    def _held(self) -> bool:
        """Whether the warm-up keeps its rate, which falls with the chains."""
        return self.network in RESIDUAL and self.epochs < LONG

    def _decay(self, *, taught: bool) -> tuple[str, ...]:
        """Of the matrices, where it is not the default; chains that are `taught` want less."""
        if self.network not in RESIDUAL or self.by != "muon":
            return ()
        return DECAY_TAUGHT if taught else DECAY

    def _split(self, changed: tuple[str, ...]) -> tuple[str, ...]:
        """Epochs of an L step, and of the chains."""
        tightening = 0 if "--steps" in changed else 1
        return "--step-epochs", "0.25", "--epochs", str(self.epochs - self.warm_up - tightening)

    def trained(self, *, held: bool = False) -> Path:
        """Weights of the dense network, at a constant rate if `held`; it is trained if it is not yet."""
        self._dense(held=held)
        return runs.part("learning", self._key(DENSE[held]), "model.safetensors")

    def _dense(self, *, held: bool = False) -> dict:
        """The network itself, trained as chains are: a plan that names no layer keeps all."""
        plan = runs.RUNS / "dense.json"
        plan.parent.mkdir(exist_ok=True)
        plan.write_text("{}\n")
        trained = HOLDING if held else self._decay(taught=False)
        own = ("--plan", str(plan), *PLAIN, *trained, "--epochs", str(self.epochs))
        return self._keep(DENSE[held], "learn", own)

    def _keep(self, way: str, command: str, own: tuple[str, ...], options: list[str] = ()) -> dict:
        """Run a command of tenfold, unless that was done."""
        named = (NETWORKS | TRAINED)[self.network]
        if "--data" not in named:
            named = (*named, "--data", str(Path(os.environ["TENFOLD_DATA"], "cifar10.zip").absolute()))
        words = (command, *named, "--optimiser", self.by, *own, "--seed", str(self.seed))
        return runs.kept("learning", self._key(way, options), *words, busy=self.busy)

    def _key(self, way: str, options: list[str] = ()) -> str:
        """What a result is called."""
        begin = f"{self.network} {way}, {self.epochs} epochs, {self.by}, seed {self.seed}"
        return " ".join([begin, *options])


def table(results: dict[str, dict], epochs: int, by: str, options: list[str]) -> str:
    """The README's tables: what else there is, and what each part is worth; of runs with the same options."""

    def found(network: str, way: str) -> list[dict]:
        own = [] if way in ("dense", "dense, then method A") else options
        begin = re.escape(f"{network} {way}, {epochs} epochs, {by}, seed ")
        end = re.escape(" ".join(["", *own]))
        return [row for name, row in results.items() if re.fullmatch(f"{begin}[0-9]+{end}", name)]

    made = (
        _rows(found, epochs, networks, ways)
        for networks, ways in ((NETWORKS, (*LEARNED, *OTHERS)), (PARTS_OF, ("lc", *PARTS)))
    )
    return "\n\n".join(filter(None, made))


def _rows(of, epochs: int, networks, ways) -> str:
    """Of one table; `of` gives all seeds of a cell. Nothing where one row would stand alone."""
    columns = "network | way | test accuracy | beside dense | last epoch | parameters | MACs | epochs | seeds"
    lines = [f"| {columns} | minutes |", "|---|---|---|---|---|---|---|---|---|---|"]
    for network, way in itertools.product(networks, ways):
        found = of(network, way)
        if not found:
            continue
        dense = of(network, "dense")
        beside = f"{_mean(found, 'accuracy') - _mean(dense, 'accuracy'):+.2f}" if dense else "-"
        lines.append(
            f"| {network} | {way} | **{runs.spread(row['accuracy'] for row in found)}** | {beside} "
            f"| {runs.spread(row['last'] for row in found)} | {100 / _mean(found, 'ratio'):.1f} % "
            f"| {100 * _mean(found, 'macs_left'):.1f} % | {epochs} | {len(found)} "
            f"| {runs.minutes(found)} |"
        )
    return "\n".join(lines) if len(lines) > 3 else ""


def _mean(rows: list[dict], name: str) -> float:
    """Over seeds."""
    return statistics.mean(row[name] for row in rows)


if __name__ == "__main__":
    main()
