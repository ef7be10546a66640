"""What was measured of one network at one budget, in one form, whichever script measured it.

Rows come from results/compare.json, and from what oneshot.py and finetune.py keep: nothing is measured twice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import runs

__all__ = [
    "BAYES",
    "DEFAULT",
    "PEER",
    "PEER_RECOVERED",
    "PLANNED",
    "SCHEMES",
    "SHORT",
    "Cell",
    "Row",
    "cell_of",
    "measured",
]

SCHEMES = ("svd", "tucker", "cp", "tt", "tt-tucker", "btd")
DEFAULT, BAYES = "btd", "ranks by Bayes"
PEER, PEER_RECOVERED = "tensorly-torch CP", "tensorly-torch CP + recovery"
SHORT, LONG = 3, 30  # epochs of a fine-tuning
_RATIOS = {
    "resnet20": (2.0, 3.0, 5.0, 8.0),
    "resnet32": (3.0, 5.0),
    "resnet56": (3.0, 5.0),
    "vgg": (3.0, 5.0),
}
_AT_FIVE = dict.fromkeys(_RATIOS, (5.0,))
_AT_LENGTH = {"resnet20": (3.0, 6.8, 13.7), "resnet32": (3.0,)}


@dataclass(frozen=True)
class Cell:
    """What is compared: one way to make one network small.

    Attributes:
        network: name of the zoo, or "vgg": that of `networks.py`, on Fashion-MNIST.
        ratio: how many times fewer parameters are asked for.
        way: a scheme under tenfold's allocation, or one of the constants above; what else differs in its
            training stands behind a comma.
        epochs: of fine-tuning; 0 is one shot, without labels.
    """

    network: str
    ratio: float
    way: str
    epochs: int

    @property
    def method(self) -> str:
        """The way, whatever differs in its training."""
        return self.way.partition(",")[0]

    @property
    def planned(self) -> Cell:
        """The cell of the plan that this one answers."""
        return replace(self, way=self.method)

    @property
    def name(self) -> str:
        """What it is called in files and on the command line."""
        return f"{self.network} {self.ratio:g}x {self.way}, {self.epochs} epochs"


@dataclass(frozen=True)
class Row:
    """One run; None where it was not measured.

    Attributes:
        accuracy: percent of the test set.
        original: the same before.
        params: numbers that ship.
        factor: how many times fewer these are.
        macs: of one image.
        size_bytes: of the ONNX file.
        faster: time of the original by that of the result, one image, one thread of ONNX Runtime.
        seconds: of the whole run.
        machine: processor and cores.
    """

    accuracy: float
    original: float | None
    params: int
    factor: float
    macs: int | None
    size_bytes: int | None
    faster: float | None
    seconds: float | None
    machine: str


_WAYS = (PEER, PEER_RECOVERED, *SCHEMES, BAYES)
# Every scheme once a network; at other budgets what is recommended, and what it is compared with.
_PLANS = (
    (0, _RATIOS, (PEER, PEER_RECOVERED, DEFAULT)),
    (0, _AT_FIVE, SCHEMES),
    (SHORT, _AT_FIVE, (PEER, DEFAULT)),
    (SHORT, dict.fromkeys(("resnet20", "vgg"), (5.0,)), SCHEMES),
    (LONG, _AT_LENGTH, (BAYES,)),
)


def _place(cell: Cell) -> tuple[int, int, float, int]:
    """Where it stands in the tables."""
    return cell.epochs, list(_RATIOS).index(cell.network), cell.ratio, _WAYS.index(cell.method)


PLANNED = tuple(
    sorted(
        {
            Cell(network, ratio, way, epochs)
            for epochs, networks, ways in _PLANS
            for network, ratios in networks.items()
            for ratio in ratios
            for way in ways
        },
        key=_place,
    )
)
"""All that the comparison asks for."""


def measured() -> dict[Cell, list[Row]]:
    """Everything that is known, one row a seed, in the order of the tables."""
    found: dict[Cell, list[Row]] = defaultdict(list)
    for cell, row in (*_compared(), *_fine_tuned()):
        found[cell].append(row)
    before = {cell.network: row.original for cell, rows in found.items() for row in rows if row.original}
    for cell, rows in found.items():
        found[cell] = [replace(row, original=before.get(cell.network)) for row in rows]
    return dict(sorted(found.items(), key=lambda pair: _place(pair[0])))


def row_of(found: dict, accuracy: str = "accuracy") -> Row:
    """The row of what a script keeps."""
    return Row(
        accuracy=found[accuracy],
        original=found.get("original"),
        params=found["params"],
        factor=found["ratio"],
        macs=found.get("macs"),
        size_bytes=found.get("size_bytes"),
        faster=found.get("latency"),
        seconds=found.get("seconds"),
        machine=f"{found['machine']}, {found['cores']} cores",
    )


def cell_of(name: str, key: str) -> Cell | None:
    """The cell of a row of results/oneshot.json or compare.json; None of another file's.

    Example:
        >>> cell_of("compare", "resnet20 5x tt-tucker, 3 epochs, seed 0").way
        'tt-tucker'
    """
    form = r"(\S+) (\S+)x (.+?)(?:, (\d+) epochs,)? seed \d+"
    if name not in ("oneshot", "compare") or not (found := re.fullmatch(form, key)):
        return None
    network, ratio, way, epochs = found.groups()
    way = PEER if way == "peer" else way.removeprefix("tenfold-")
    return Cell(network, float(ratio), way, int(epochs or 0))


def _fine_tuned() -> Iterator[tuple[Cell, Row]]:
    """Of finetune.py; options that choose the ranks or train in another way are another way."""
    for key, found in runs.load("finetune").items():
        network, ratio, *_ = key.split()
        yield Cell(network, float(ratio[:-1]), _way(key), found["epochs"]), row_of(found)


_CHANGES = {
    "optimiser": "optimiser",
    "batch": "batches of",
    "rate": "rate",
    "schedule": "schedule",
    "averaging": "averaged weights",
    "distillation": "distillation",
    "mixed": "blends",
}


def _way(key: str) -> str:
    """How the ranks were chosen, and what else the options change of the training."""
    way = DEFAULT if "--selector allocation" in key else BAYES
    changed = ["" if "--cycles 1" in key or "--schedule" in key else "3 cycles"]
    for option, said in _CHANGES.items():
        changed += [f"{said} {value}" for value in re.findall(rf"--{option} (\S+)", key)]
    return ", ".join([way, *filter(None, changed)])


def _compared() -> Iterator[tuple[Cell, Row]]:
    """Of oneshot.py and compare.py; tensorly-torch's CP as it comes is also known after the recovery."""
    for name in ("oneshot", "compare"):
        for key, found in runs.load(name).items():
            cell = cell_of(name, key)
            yield cell, row_of(found)
            if cell.way == PEER and not cell.epochs:
                yield replace(cell, way=PEER_RECOVERED), row_of(found, "recovered")
