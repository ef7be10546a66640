"""What a finished network is worth, and how long it took to make."""

from __future__ import annotations

import copy
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter

import torch
from torch import Tensor, nn

from tenfold.core.report import LatencyReport
from tenfold.layers.census import Census, census
from tenfold.options import Progress
from tenfold.pipeline.material import Material
from tenfold.pipeline.planning import clock_of
from tenfold.runs.checkpoint import Checkpoint
from tenfold.train.evaluate import evaluate
from tenfold.train.loop import fill_, tensors_of
from tenfold.train.team import Team

__all__ = ["Measuring", "Watch", "versions"]

_SECONDS = "seconds"


class Watch:
    """Seconds by phase, those of earlier processes that finished theirs included."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Begin with what is kept."""
        self._checkpoint = checkpoint
        self.seconds: dict[str, float] = checkpoint.load(_SECONDS) or {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase."""
        begin = perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + perf_counter() - begin, 3)

    def keep(self) -> None:
        """Let a process that goes on from here know."""
        self._checkpoint.save(_SECONDS, self.seconds)


@dataclass(frozen=True)
class Measuring:
    """Counts networks, and tests them.

    Attributes:
        material: images.
        team: the processes that test together.
        tell: told what is going on.
    """

    material: Material
    team: Team
    tell: Progress

    def counted(self, model: nn.Module) -> Census:
        """A network of chains, counted on an image."""
        return census(model, self._example())

    def counted_before(self) -> Census:
        """The original, counted on an image, with what the options keep."""
        return census(self.material.original, self._example(), self.material.options.keep)

    def _example(self) -> Tensor:
        """One image, as a network takes it."""
        return self.material.data.preprocessing.apply(self.material.images[:1])

    def accuracy(self, model: nn.Module, done: int) -> float:
        """Percent of the test images, the `done`-th network of two."""
        data = self.material.data
        self.tell("evaluate", done, 2)
        accuracy = evaluate(model, data.test, data.preprocessing, team=self.team).accuracy
        self.tell("evaluate", done + 1, 2)
        return accuracy

    def accuracy_with(self, made: nn.Module, tensors: list[Tensor], known: float) -> float:
        """Percent of the test images with other parameters and buffers, where they are others."""
        own = tensors_of(made)
        if all(map(torch.equal, own, tensors)):
            return known
        fill_(made, tensors)
        try:
            return self.accuracy(made, 1)
        finally:
            fill_(made, own)

    def latency(self, made: nn.Module, predicted: float | None) -> LatencyReport | None:
        """The share of the original's time that the plan was made by, and what is true; None without one."""
        if predicted is None:
            return None
        material, clock = self.material, clock_of(self.material.options)
        channels, height, width = material.images.shape[1:]
        shipped = copy.deepcopy(made).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        networks = {"original": material.original, "made": shipped}
        found = clock.compared(networks, (channels, height, width))
        original, measured = found["original"].median_ms, found["made"].median_ms
        return LatencyReport(clock.target, clock.threads, predicted * original, measured, original)


def versions() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("tenfold", "torch", "numpy", "scipy", "onnx", "onnxruntime")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
