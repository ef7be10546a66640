"""Does the ONNX file answer like the network, how large is it, and how fast?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tenfold.core.errors import ExportError, ParityError
from tenfold.deploy.answers import answers
from tenfold.deploy.divergence import first_difference, relative_difference
from tenfold.deploy.runtime import RUNTIME_ERRORS, InferenceSession, session
from tenfold.deploy.timing import spread_of, times_ms

__all__ = ["Latency", "latency_ms", "parity", "runner", "size_bytes"]

Array = np.ndarray[Any, Any]

_FEWEST_REPETITIONS = 30


@dataclass(frozen=True)
class Latency:
    """How long one ONNX file takes for a batch.

    Attributes:
        median_ms: milliseconds for the batch, not for one image.
        quartiles: the first and third quartile, milliseconds.
        repetitions: number of timed runs.
        threads: threads of ONNX Runtime.
        batch: images in a run.
    """

    median_ms: float
    quartiles: tuple[float, float]
    repetitions: int
    threads: int
    batch: int


def parity(model: nn.Module, path: str | Path, images: Tensor, *, tolerance: float = 1e-4) -> float:
    """How far the ONNX file is from the network, over batches of 1, 2 and all images.

    That is ``max |torch - onnx| / max(1, max |torch|)``, the largest over the outputs and batches.

    Args:
        model: taken in eval mode; its training flags are left as they are. Hooks are run.
        path: what `export_onnx` wrote for it.
        images: (n, channels, height, width), float32.
        tolerance: the most that is allowed; float32 with folded batch normalisation needs about 1e-5.

    Raises:
        ParityError: the difference is above `tolerance` or no number, or the outputs differ in number or
            shape; names the first layer to differ where its weight carries its name in the file.
        ExportError: ONNX Runtime cannot load or run the file.
    """
    if len(images) == 0:
        raise ParityError(f"cannot compare {path} with the network: no images were given; pass at least one")
    runtime = session(path, threads=1)
    sizes = sorted({min(size, len(images)) for size in (1, 2, len(images))})
    # np.max, because max() would lose a NaN
    worst = float(np.max([_difference(model, runtime, images[:size]) for size in sizes]))
    if not worst <= tolerance:  # also where it is NaN
        layer = first_difference(model, path, images[:2], tolerance)
        where = f", first at layer {layer!r}" if layer else ""
        raise ParityError(
            f"{path} should answer like the network: the largest relative difference is {worst:.3g}, "
            f"allowed is {tolerance:.3g}{where}; export the network again, in the state it was compared in"
        )
    return worst


def latency_ms(
    paths: Sequence[str | Path],
    shape: tuple[int, int, int],
    *,
    threads: int = 1,
    batch: int = 1,
    repetitions: int = 50,
) -> list[Latency]:
    """Times of ONNX files, measured in turns (A B A B ...): what slows the machine slows them alike.

    Args:
        paths: ONNX files with one input.
        shape: (channels, height, width) of one image.
        threads: threads of ONNX Runtime.
        batch: images in a run.
        repetitions: timed runs of each file, at least 30, after five that are not counted.

    Raises:
        ExportError: fewer than 30 repetitions, or ONNX Runtime cannot load or run a file.
    """
    if repetitions < _FEWEST_REPETITIONS:
        raise ExportError(f"asked for {repetitions} timed runs; a median worth reporting needs at least 30")
    images = np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    runs = [runner(session(path, threads=threads), images) for path in paths]
    return [
        Latency(found.median_ms, found.quartiles, repetitions, threads, batch)
        for found in spread_of(times_ms(runs, repetitions=repetitions))
    ]


def size_bytes(path: str | Path) -> int:
    """Bytes of the file.

    Raises:
        ExportError: there is no such file.
    """
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise ExportError(f"size of {path}: {error.strerror}; export the network first") from error


def _difference(model: nn.Module, runtime: InferenceSession, images: Tensor) -> float:
    """The largest relative difference for one batch."""
    expected = answers(model, images)
    met = [torch.from_numpy(answer) for answer in runner(runtime, images.cpu().numpy())()]
    shapes = [[tuple(answer.shape) for answer in side] for side in (expected, met)]
    if shapes[0] != shapes[1]:
        raise ParityError(
            f"the ONNX file should answer like the network: for {len(images)} images it gives {shapes[0]} "
            f"and the file {shapes[1]}; export the network again"
        )
    return float(np.max([relative_difference(*pair) for pair in zip(expected, met, strict=True)]))


def runner(runtime: InferenceSession, images: Array) -> Callable[[], list[Array]]:
    """A call that runs a batch (n, channels, height, width) through a network with one input.

    Raises:
        ExportError: when called, if ONNX Runtime cannot run the images.
    """
    name = runtime.get_inputs()[0].name

    def run() -> list[Array]:
        try:
            return list(runtime.run(None, {name: images}))
        except RUNTIME_ERRORS as error:
            cause = str(error).strip().splitlines()[0]
            raise ExportError(
                f"ONNX Runtime cannot run images of shape {images.shape}: {cause}; export for that shape"
            ) from error

    return run
