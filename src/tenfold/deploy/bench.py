"""Networks against each other in torch and in ONNX Runtime, one image and many, on one core and on all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tenfold.deploy.runtime import session
from tenfold.deploy.timing import Spread, spread_of, times_ms
from tenfold.deploy.verify import runner
from tenfold.layers.mode import in_mode

__all__ = ["BATCHES", "Contender", "Timing", "bench", "threads_of_all"]

BATCHES = (1, 32)
_REPETITIONS = 30


@dataclass(frozen=True)
class Contender:
    """A network in both forms.

    Attributes:
        model: float32, on the CPU.
        path: its ONNX file.
    """

    model: nn.Module
    path: Path


@dataclass(frozen=True)
class Timing:
    """One cell of a benchmark.

    Attributes:
        network: its name.
        runtime: "torch" or "onnxruntime".
        batch: images in a run.
        threads: threads of the runtime.
        spread: milliseconds a batch.
    """

    network: str
    runtime: str
    batch: int
    threads: int
    spread: Spread


def threads_of_all() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bench(
    contenders: Mapping[str, Contender],
    shape: tuple[int, int, int],
    *,
    batches: Sequence[int] = BATCHES,
    threads: Sequence[int] = (),
    repetitions: int = _REPETITIONS,
    progress: Callable[[int, int], None] | None = None,
) -> list[Timing]:
    """Time networks in turns, in both runtimes, so that what slows the machine slows them alike.

    Args:
        contenders: networks by name.
        shape: (channels, height, width) of one image.
        batches: images in a run.
        threads: numbers of threads; one and all cores by default.
        repetitions: timed runs of each, after five that are not counted.
        progress: called with (cells done, cells in all).

    Raises:
        ExportError: ONNX Runtime cannot load or run a file.
    """
    counts = sorted(set(threads or (1, threads_of_all())))
    cells = [(batch, count) for count in counts for batch in batches]
    found: list[Timing] = []
    for done, (batch, count) in enumerate(cells):
        if progress:
            progress(done, len(cells))
        images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
        with _ready(contenders, count):
            calls = dict(_calls(contenders, images, count))
            spreads = spread_of(times_ms(list(calls.values()), repetitions=repetitions))
        found += [
            Timing(network, runtime, batch, count, spread)
            for (network, runtime), spread in zip(calls, spreads, strict=True)
        ]
    if progress:
        progress(len(cells), len(cells))
    return found


def _calls(
    contenders: Mapping[str, Contender], images: Tensor, threads: int
) -> Iterator[tuple[tuple[str, str], Callable[[], object]]]:
    """(network, runtime) -> one run."""
    for name, contender in contenders.items():
        yield (name, "torch"), _torch_call(contender.model, images)
        yield (name, "onnxruntime"), runner(session(contender.path, threads=threads), images.numpy())


def _torch_call(model: nn.Module, images: Tensor) -> Callable[[], object]:
    """One run in eager torch."""

    def run() -> None:
        with torch.inference_mode():
            model(images)

    return run


@contextmanager
def _ready(contenders: Mapping[str, Contender], threads: int) -> Iterator[None]:
    """All networks in eval mode, and torch with that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with ExitStack() as stack:
            for contender in contenders.values():
                stack.enter_context(in_mode(contender.model, training=False))
            yield
    finally:
        torch.set_num_threads(before)
