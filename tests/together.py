"""What each process of a team does in a test: torchrun starts this file, process 0 saves what came out."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from tenfold.data.dataset import Preprocessing
from tenfold.data.digits import read_digits
from tenfold.train.batches import Augmentation
from tenfold.train.evaluate import evaluate
from tenfold.train.loop import Step, tensors_of
from tenfold.train.running import Running
from tenfold.train.supervised import Training, train_
from tenfold.train.team import joined

GREY = Preprocessing((0.3,), (0.35,))
SETTINGS = Training(epochs=2, batch_size=40, rate=0.05, smoothing=0.1, form="chain", precision="float32")


def network() -> nn.Module:
    """With two batch norms of different shapes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(216, 10),
        nn.BatchNorm1d(10, momentum=None),
    )


def main(out: Path) -> None:
    """Train and evaluate together."""
    torch.set_num_threads(1)
    train, test = read_digits()
    with joined() as team:
        net = network()
        data = train.subset(torch.arange(205))
        rows = train_(
            net,
            data,
            GREY,
            settings=SETTINGS,
            augmentation=Augmentation(1, flip=False),
            running=Running(5, team=team),
        )
        losses = [row.loss for row in rows if isinstance(row, Step)]
        found = evaluate(net, test, GREY, batch_size=64, team=team)
        names = [type(module).__name__ for module in net.modules()]
        if team.rank == 0:
            torch.save(
                {"tensors": tensors_of(net), "losses": losses, "found": list(found), "names": names}, out
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
