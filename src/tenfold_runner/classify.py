"""The network at work: images in, classes and their probabilities out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_runner.card import Card
from tenfold_runner.errors import PackageError
from tenfold_runner.images import Pixels, prepared, read_image
from tenfold_runner.runtime import open_session

__all__ = ["Answer", "Classifier", "Timing"]


@dataclass(frozen=True)
class Answer:
    """What the network says about one image.

    Attributes:
        ranked: (class, probability in [0, 1]), the likeliest first.
        latency_ms: of the network alone.
    """

    ranked: tuple[tuple[str, float], ...]
    latency_ms: float


@dataclass(frozen=True)
class Timing:
    """What a benchmark has found so far.

    Attributes:
        batch: images at a time.
        runs: how often it ran.
        median_ms: of one run.
        slow_ms: 95 of 100 runs took at most this.
    """

    batch: int
    runs: int
    median_ms: float
    slow_ms: float

    @property
    def images_per_second(self) -> float:
        """By the median."""
        return 1000 * self.batch / self.median_ms


class Classifier:
    """One network, loaded.

    Attributes:
        card: what it is.
        threads: threads it runs on.
    """

    def __init__(self, card: Card, model: bytes, *, threads: int = 1) -> None:
        """Load `model`, an ONNX file.

        Raises:
            PackageError: it cannot be run, or is no network of this card.
        """
        self.card, self.threads = card, threads
        self._session = open_session(model, threads=threads)
        self._input = self._session.get_inputs()[0].name
        self._run(np.zeros((1, *card.shape), np.float32))  # what the first run sets up is not an image's time

    def classify(self, path: Path, top: int = 5) -> Answer:
        """What the network says about the image in the file `path`.

        Args:
            path: of the image.
            top: classes to name, at least 1.

        Raises:
            ImageError: see `read_image`.
        """
        return self.answers([read_image(path, self.card)], top)[0]

    def answers(self, images: Sequence[Pixels], top: int = 5) -> list[Answer]:
        """What the network says about images that are read already; the latency is that of one of them."""
        batch = prepared(images, self.card)
        begin = perf_counter()
        logits = self._run(batch)
        latency_ms = 1000 * (perf_counter() - begin) / len(images)
        return [Answer(self._ranked(row, top), latency_ms) for row in logits]

    def bench(self, batch: int, *, seconds: float = 2.0, least: int = 30) -> Iterator[Timing]:
        """Time runs on made-up images for at least that many seconds and runs; yields five times a second."""
        count = batch * math.prod(self.card.shape)
        images = np.sin(np.arange(count, dtype=np.float32)).reshape(batch, *self.card.shape)
        self._run(images)
        times: list[float] = []
        begin = told = perf_counter()
        while len(times) < least or perf_counter() - begin < seconds:
            start = perf_counter()
            self._run(images)
            end = perf_counter()
            times.append(1000 * (end - start))
            if end - told > 0.2:
                told = end
                yield _timing(batch, times)
        yield _timing(batch, times)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (n, classes) of a batch."""
        try:
            (logits,) = self._session.run(None, {self._input: batch})
        except Exception as error:  # ONNX Runtime's errors share no base but this one
            cause = str(error).strip().splitlines()[0]
            raise PackageError(f"the network does not run: {cause}; get the package again") from error
        if logits.shape != (len(batch), len(self.card.classes)):
            raise PackageError(
                f"the network answers with {logits.shape[1:]} numbers, the card names "
                f"{len(self.card.classes)} classes; get the package again"
            )
        found: NDArray[np.float32] = logits
        return found

    def _ranked(self, logits: NDArray[Any], top: int) -> tuple[tuple[str, float], ...]:
        """The likeliest classes; of equal ones the first, as torch's argmax has it."""
        exact = logits.astype(np.float64)
        powers = np.exp(exact - exact.max())
        chances = powers / powers.sum()
        order = np.argsort(-exact, kind="stable")[:top]
        return tuple((self.card.classes[i], float(chances[i])) for i in order)


def _timing(batch: int, times: list[float]) -> Timing:
    """Times of runs in milliseconds, summed up."""
    slow = sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)]
    return Timing(batch, len(times), float(np.median(times)), slow)
