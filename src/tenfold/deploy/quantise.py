"""A network in 8 bits, layer by layer as far as it pays: static post-training quantisation, or weights alone.

QDQ format, per channel, `reduce_range`: without it sums of products overflow 16 bits on processors without
VNNI, and a per-channel network loses most of its accuracy there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from tenfold.core.atomic import write_bytes
from tenfold.core.errors import ExportError
from tenfold.deploy.eight_bits import WEIGHTED, balance, correct_biases, small_layers, store_weights
from tenfold.deploy.onnx import quiet, strip
from tenfold.deploy.profile import profile
from tenfold.deploy.runtime import RUNTIME_ERRORS, quantise_static, session
from tenfold.deploy.verify import latency_ms, runner

__all__ = ["Goal", "Judge", "Quantised", "layers_of", "quantise", "quantise_gated"]

Images = NDArray[np.float32]
Goal = Literal["latency", "bytes"]
Judge = Callable[[Path], float]
"""Percent of held-out images that a file classifies correctly."""
Alone = Callable[[Path, Path, Images, str], Path]

_BATCH = 16
_SLOWER = 1.05  # a layer slower by less than the profiler can tell is quantised all the same
_FAILURES: tuple[type[Exception], ...] = (
    *RUNTIME_ERRORS,
    ValueError,
    RuntimeError,
    KeyError,
    NotImplementedError,
)


@dataclass(frozen=True)
class Quantised:
    """What became of a network in 8 bits.

    Attributes:
        path: of the file.
        stored: layers whose weights are stored in 8 bits but which are computed in float32, and why.
        kept: layers that stay in float32 altogether, and why.
        before: percent of the held-out images in float32.
        after: the same in 8 bits.
    """

    path: Path
    stored: dict[str, str]
    kept: dict[str, str]
    before: float
    after: float


def quantise_gated(
    source: Path, out: Path, images: Images, judge: Judge, *, goal: Goal = "latency", most: float = 0.5
) -> Quantised:
    """Take every layer to 8 bits as far as time and accuracy allow.

    First the weights of all layers are stored in 8 bits, which costs no time. For ``goal="latency"`` a layer
    is then computed in 8 bits as well, unless that makes it slower, by the times of each layer in both files
    in the runtime's profiler, and the whole network is faster without. Whenever held-out accuracy falls by
    more than `most`, the layers that alone change the answers most are put back, twice as many each time.

    Args:
        source: float32 file, as `export_onnx` writes it.
        out: file to write.
        images: (n, channels, height, width), as the network takes them: training images.
        judge: tells the accuracy of a file; never by test images.
        goal: what 8 bits are for.
        most: points of held-out accuracy that may be lost.

    Raises:
        ExportError: ONNX Runtime cannot quantise the network.
    """
    before = judge(source)
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        even = balance(source, Path(folder) / "even.onnx")
        small = small_layers(even)
        kept = dict.fromkeys(small, "has few weights")
        stored = dict.fromkeys(layers_of(even), "for bytes")

        def lost() -> float:
            return before - judge(_written(even, out, images, stored, kept))

        points = _settle(lost, most, _worst_first(even, images, kept, _stored_alone), kept)
        if goal == "latency":
            stored = _slow_layers(even, images) | {x: why for x, why in kept.items() if x not in small}
            points = _settle(lost, most, _worst_first(even, images, stored, _computed_alone), stored)
    kept = {layer: why for layer, why in kept.items() if layer in stored}
    stored = {layer: why for layer, why in stored.items() if layer not in kept}
    return Quantised(out, stored, kept, before, before - points)


def _settle(
    lost: Callable[[], float], most: float, turns: Iterator[list[str]], back: dict[str, str]
) -> float:
    """Put layers back, some in each turn, until no more than `most` points are lost or all are back.

    Returns:
        Points that the file which was written last loses.
    """
    while (points := lost()) > most and (worst := next(turns, None)):
        back.update(dict.fromkeys(worst, "held-out accuracy"))
    return points


def _written(source: Path, out: Path, images: Images, stored: Collection[str], kept: Collection[str]) -> Path:
    """Some layers as they are, some stored in 8 bits, and the others computed in 8 bits."""
    quantise(source, out, images, keep=tuple(stored))
    return correct_biases(source, store_weights(out, out, keep=kept), images)


def _slow_layers(source: Path, images: Images) -> dict[str, str]:
    """Layers that 8 bits make slower, if the network is faster without them."""
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        whole = quantise(source, Path(folder) / "whole.onnx", images)
        slower = _slower(source, whole, images)
        return slower if slower and _gains(source, whole, images, tuple(slower)) else {}


def quantise(source: Path, out: Path, images: Images, *, keep: Sequence[str] = ()) -> Path:
    """Write `source` in 8 bits, its batch as dynamic as before.

    Args:
        source: float32 file, as `export_onnx` writes it.
        out: file to write; an old one is replaced once the new one is whole.
        images: those that the ranges of activations are measured on.
        keep: layers that stay in float32.

    Raises:
        ExportError: there are no images, or ONNX Runtime cannot quantise the network.
        RunError: the file cannot be written.
    """
    if not len(images):
        raise ExportError(f"{source}: no images to measure the ranges of activations on; give at least one")
    names = layers_of(source)
    excluded = [names[layer] for layer in keep]
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder, quiet():
        made = Path(folder) / "int8.onnx"
        if len(excluded) == len(names):
            return write_bytes(out, source.read_bytes())
        try:
            quantise_static(source, made, _Reader(source, images), nodes_to_exclude=excluded)
        except _FAILURES as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(
                f"ONNX Runtime cannot quantise {source}: {cause}; ship the float32 file"
            ) from error
        proto = onnx.load(made)
    strip(proto)
    return write_bytes(out, proto.SerializeToString(deterministic=True))


def layers_of(path: Path) -> dict[str, str]:
    """Layer -> name of its node, of all that can be quantised."""
    nodes = onnx.load(path, load_external_data=False).graph.node
    return {node.input[1].partition(".weight")[0]: node.name for node in nodes if node.op_type in WEIGHTED}


def _slower(source: Path, out: Path, images: Images) -> dict[str, str]:
    """Layers that take longer in 8 bits."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    old, new = _times(source, shape), _times(out, shape)
    return {
        layer: f"8 bits are {new[layer] / time:.2f} times as slow"
        for layer, time in old.items()
        if time > 0 and new.get(layer, 0.0) > _SLOWER * time
    }


def _gains(source: Path, out: Path, images: Images, keep: tuple[str, ...]) -> bool:
    """Whether `keep` in float32 is faster than `out`: conversions between the formats take time as well."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        mixed = quantise(source, Path(folder) / "mixed.onnx", images, keep=keep)
        one, other = latency_ms([mixed, out], shape)
    return one.median_ms < other.median_ms


def _times(path: Path, shape: tuple[int, int, int]) -> dict[str, float]:
    """Milliseconds by layer, without what only changes the format of activations."""
    found: dict[str, float] = {}
    for node in profile(path, shape):
        if node.layer:
            found[node.layer] = found.get(node.layer, 0.0) + node.median_ms
    return found


def _worst_first(source: Path, images: Images, rest: Collection[str], alone: Alone) -> Iterator[list[str]]:
    """Of all layers but the rest the one that 8 bits hurt most, then the next two, four, and so on."""
    layers = [layer for layer in layers_of(source) if layer not in rest]
    ranked, count = iter(_by_sensitivity(source, images[:_BATCH], layers, alone)), 1
    while worst := list(islice(ranked, count)):
        yield worst
        count *= 2


def _by_sensitivity(source: Path, few: Images, layers: list[str], alone: Alone) -> list[str]:
    """Layers by how much the answers change if each alone is in 8 bits, the worst first."""
    expected = _answers(source, few)
    changes: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        for layer in layers:
            made = alone(source, Path(folder) / "alone.onnx", few, layer)
            changes[layer] = float(np.square(_answers(made, few) - expected).sum())
    return sorted(layers, key=lambda layer: -changes[layer])


def _computed_alone(source: Path, out: Path, few: Images, layer: str) -> Path:
    """One layer computed in 8 bits."""
    return quantise(source, out, few, keep=[other for other in layers_of(source) if other != layer])


def _stored_alone(source: Path, out: Path, _few: Images, layer: str) -> Path:
    """One layer stored in 8 bits."""
    return store_weights(source, out, keep=[other for other in layers_of(source) if other != layer])


def _answers(path: Path, images: Images) -> Images:
    """The first output for a batch."""
    answer: Images = runner(session(path, threads=1), images)()[0]
    return answer


class _Reader:
    """Batches, as ONNX Runtime's calibration asks for them."""

    def __init__(self, source: Path, images: Images) -> None:
        """Begin with the first batch."""
        self._name = onnx.load(source, load_external_data=False).graph.input[0].name
        self._batches = iter([images[n : n + _BATCH] for n in range(0, len(images), _BATCH)])

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
