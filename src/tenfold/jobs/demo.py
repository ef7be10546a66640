"""The whole way on data that scikit-learn ships: train, compress, fine-tune, export, measure."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from tenfold.config import CompressSettings
from tenfold.core.atomic import write_bytes
from tenfold.data.cache import cache_directory
from tenfold.data.dataset import Splits
from tenfold.data.source import load_data
from tenfold.jobs.compress import compress_network
from tenfold.jobs.events import recorded
from tenfold.jobs.started import free_run, started, threads
from tenfold.options import Progress, silent
from tenfold.runs.directory import RunDirectory
from tenfold.train.batches import Augmentation
from tenfold.train.loop import Step
from tenfold.train.running import Running
from tenfold.train.supervised import Training, train_
from tenfold.zoo.build import build

__all__ = ["demo"]

_TRAINING = Training(epochs=12, batch_size=64, rate=0.1)
_ORIGINAL = "original.safetensors"
_THREADS = 1  # on images of 8x8 more of them would wait for each other longer than they work
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
    "threads": _THREADS,
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
    with started(out) as directory, threads(_THREADS):
        tell = recorded(progress, directory)
        data = load_data("digits")
        model = _trained(data, settings, tell)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        weights = write_bytes(directory.path / _ORIGINAL, safetensors.torch.save(tensors))
        compress_network(settings.with_values(weights=weights), model, data, directory, tell)
    return directory


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
        running=Running(settings.seed, cache_directory() / "fits"),
    )
    steps = _TRAINING.epochs * (len(data.train) // _TRAINING.batch_size)
    for state in states:
        if isinstance(state, Step):
            tell("pretrain", state.step, steps)
    return model.eval()
