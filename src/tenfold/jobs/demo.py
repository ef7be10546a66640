"""The whole way on data that scikit-learn ships: train, compress, fine-tune, export, measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from tenfold.config import CompressSettings
from tenfold.data.dataset import Splits
from tenfold.data.source import load_data
from tenfold.jobs.compress import compress_network
from tenfold.jobs.events import recorded, silent
from tenfold.jobs.staged import free_run, staged
from tenfold.options import Progress
from tenfold.runs.atomic import write_bytes
from tenfold.runs.directory import RunDirectory
from tenfold.train.batches import Augmentation
from tenfold.train.supervised import Training, train_
from tenfold.zoo.build import build

__all__ = ["demo"]

_TRAINING = Training(epochs=12, batch_size=64, rate=0.1)
_ORIGINAL = "original.safetensors"
_SETTINGS = {
    "arch": "small",
    "data": "digits",
    "budget": {"params": 0.2},
    "scheme": "btd",
    "padding": 1,
    "flip": False,
    "recovery_steps": 200,
    "epochs": 4,
    "rate": 0.02,
    "batch": 64,
}


def demo(out: Path | None = None, *, seed: int = 0, progress: Progress = silent) -> RunDirectory:
    """Train a small network on handwritten digits, compress it to a fifth of its parameters, export it.

    The run directory is that of a compress job, and holds the trained network too, as
    original.safetensors: its job.toml can be run again.

    Args:
        out: run directory; None takes the first free one of runs/demo, runs/demo-2, ...
        seed: of everything that is random.
        progress: told what is going on.

    Raises:
        RunError: `out` exists, or cannot be written.
    """
    out = (out or free_run("demo")).absolute()
    settings = CompressSettings.make({**_SETTINGS, "seed": seed, "out": out})
    with staged(out) as part, _one_thread():
        tell = recorded(progress, part)
        data = load_data("digits")
        model = _trained(data, settings, tell)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        weights = write_bytes(part.path / _ORIGINAL, safetensors.torch.save(tensors))
        # The folder gets its final name once it is complete; the job file names the weights there.
        compress_network(settings.with_values(weights=out / weights.name), model, data, part, tell)
    return RunDirectory(out)


@contextmanager
def _one_thread() -> Iterator[None]:
    """On images of 8x8 the threads of torch would wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _trained(data: Splits, settings: CompressSettings, tell: Progress) -> nn.Module:
    """A small network that knows the digits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = build("small", classes=len(data.train.classes), channels=1)
    augmentation = Augmentation(padding=settings.padding or 0, flip=bool(settings.flip))
    states = train_(
        model,
        data.train,
        data.preprocessing,
        settings=_TRAINING,
        augmentation=augmentation,
        seed=settings.seed,
    )
    for state in states:
        tell("pretrain", state.step, state.steps)
    return model.eval()
