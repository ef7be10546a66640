"""tenfold beside tensorly-torch and beside its own baselines: every table and plot of README and site.

    python benchmarks/compare.py table [--write]    # prints the tables, or puts them where they are shown
    python benchmarks/compare.py plot               # draws docs/images/front.svg and comparison.svg
    python benchmarks/compare.py missing            # the commands that fill the empty cells
    python benchmarks/compare.py time               # rows that are kept without times, once nothing else runs
    TENFOLD_DATA=FOLDER python benchmarks/compare.py run --only "resnet20 5x tucker" [--seeds 3]

Networks are ResNet-20, -32 and -56 on CIFAR-10 (public checkpoints) and the VGG of networks.py on
Fashion-MNIST, which is trained for 10 epochs first (learning.py). Ways are the schemes of tenfold under its
allocation, block terms with ranks by Bayesian optimisation, and tensorly-torch's CP: one shot, without
labels, and after 3 epochs of fine-tuning; at the ratios of finetune.py after 30. Results are kept in
results/compare.json; what is there, or was measured by oneshot.py or finetune.py, is not run again, and what
was stopped goes on.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import comparison_plots
import comparison_tables
import learning
import pairs
from comparison_rows import BAYES, PEER, PEER_RECOVERED, PLANNED, SHORT, Cell, cell_of, measured

import runs

VGG = learning.Cell("vgg", 10, 0, [])


def main() -> None:
    parser = runs.parser(__doc__, actions=("run", "table", "plot", "missing", "time"))
    parser.add_argument(
        "--write", action="store_true", help="write the tables to README.md and docs/measured"
    )
    arguments = parser.parse_args()
    if arguments.action == "run":
        for seed, cell in itertools.product(range(arguments.seeds), wanted(arguments.only)):
            run(cell, seed, busy=arguments.busy)
    elif arguments.action == "plot":
        comparison_plots.write(measured())
    elif arguments.action == "missing":
        print(
            "\n".join(
                f'TENFOLD_DATA=FOLDER python benchmarks/compare.py run --only "{cell.name}"'
                for cell in missing()
            )
        )
    elif arguments.action == "time":
        time_all()
    elif arguments.write:
        comparison_tables.write(measured())
    else:
        print(comparison_tables.everything(measured()))


def missing() -> list[Cell]:
    """Cells that nothing is known of; a run of tensorly-torch's CP fills two."""
    known = {cell.planned for cell in measured()}
    return [cell for cell in PLANNED if cell not in known and cell.way != PEER_RECOVERED]


def wanted(only: str) -> list[Cell]:
    """The cells to run."""
    return [cell for cell in PLANNED if only in cell.name and cell.way != PEER_RECOVERED]


def run(cell: Cell, seed: int, *, busy: bool) -> None:
    """Measure a cell, unless this seed of it is known."""
    key = f"{cell.name}, seed {seed}"
    seeds = [len(rows) for known, rows in measured().items() if known.planned == cell]
    if key in runs.load("compare") or seed < max(seeds, default=0):
        return
    print(key, flush=True)
    if cell.way == PEER:
        from peers import compared

        found = compared(*network_and_images(cell.network), cell.ratio, cell.epochs, seed)
    else:
        found = runs.carried_out(runs.folder("compare", key), "compress", *words(cell, seed))
    print(runs.store("compare", key, found, busy=busy), flush=True)


def time_all() -> None:
    """Time what was run beside other programs: all that takes long first, and then what has to be alone."""
    untimed = [
        (name, key)
        for name in ("oneshot", "compare", "finetune", "speed")
        for key, found in runs.load(name).items()
        if found.get("latency") is None
    ]
    ready = {(name, key): place for name, key in untimed if (place := to_time(name, key))}
    for (name, key), place in ready.items():
        found = {**runs.load(name)[key], **pairs.timed(place)}
        print(f"{key}: {runs.store(name, key, found)['latency']:.3f}", flush=True)


def to_time(name: str, key: str) -> Path | None:
    """Where a row's networks are, ready to be timed; None if no run has its ranks, and they do not follow.

    Weights take no time: where no run directory has these ranks, they are given once more, and not trained.
    """
    cell, macs = cell_of(name, key), runs.load(name)[key].get("macs", 0)
    same = [] if cell is None else [f"{replace(cell, epochs=count).name}, seed 0" for count in (0, SHORT)]
    for out in (runs.folder(name, key), *(runs.folder("compare", other) for other in same)):
        if macs_of(out) == macs:
            pairs.export_run(out, place := runs.folder("pairs", out.name))
            return place
    if cell is None or cell.method == BAYES:
        return None
    made, place = ranks_of(replace(cell, epochs=0))
    if made["macs"] == macs:
        return place
    print(f"{key}: not the ranks that were measured: {made['macs']} MACs, not {macs}", flush=True)
    return None


def macs_of(out: Path) -> int | None:
    """Of the network in a run directory; None where no run was finished."""
    report = out / "report.json"
    return json.loads(report.read_text())["after"]["macs"] if report.exists() else None


@cache
def ranks_of(cell: Cell) -> tuple[dict, Path]:
    """A network of a cell's ranks, neither recovered nor fine-tuned: MACs and bytes, and where it is."""
    place = runs.folder("pairs", cell.name)
    if cell.way == PEER:
        import peers

        return peers.untrained(*network_and_images(cell.network), cell.ratio, place), place
    out = runs.folder("ranks", cell.name)
    runs.go(out, "compress", *words(cell, 0), "--recovery-steps", "0")
    return pairs.export_run(out, place), place


def words(cell: Cell, seed: int) -> list[str]:
    """The options of `tenfold compress` for a cell."""
    options = ["--budget", f"params={1 / cell.ratio}", "--seed", str(seed), *named(cell.network)]
    if cell.way == BAYES:
        return [*options, "--method", "btd-bayes", "--epochs", str(cell.epochs)]
    if cell.epochs:
        options += ["--method", "btd-bayes", "--selector", "allocation"]
    return [*options, "--scheme", cell.way, "--epochs", str(cell.epochs)]


def named(network: str) -> list[str]:
    """The options that name a network, its weights and its images."""
    if network == "vgg":
        return [*learning.NETWORKS["vgg"], "--weights", str(VGG.trained())]
    return [
        "--arch",
        network,
        "--weights",
        str(checkpoint(network)),
        "--data",
        str(runs.data() / "cifar10.zip"),
    ]


def checkpoint(network: str) -> Path:
    return runs.data() / f"cifar10-{network}.safetensors"


def network_and_images(network: str):
    """The trained network and its images, in this process."""
    import tenfold
    from tenfold.zoo.weights import load_weights

    if network != "vgg":
        model = tenfold.build(network, classes=10).eval()
        load_weights(model, checkpoint(network))
        return model, tenfold.load_data(str(runs.data() / "cifar10.zip"))
    words = learning.NETWORKS["vgg"]
    options = dict(zip(words[::2], words[1::2], strict=True))
    model = tenfold.build(options["--arch"], classes=10, channels=1).eval()
    load_weights(model, VGG.trained())
    images = tenfold.load_data(options["--data"])
    expected = tenfold.Preprocessing((float(options["--mean"]),), (float(options["--std"]),))
    return model, tenfold.Splits(images.train, images.test, expected)


if __name__ == "__main__":
    main()
