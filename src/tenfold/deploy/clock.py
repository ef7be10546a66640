"""How long layers and networks take on this machine, measured once and kept.

Layers are timed alone, at their real input size. What a network gains by a chain is the difference of the two
layers, in which the cost of a call and of changes of layout cancels.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tenfold.core.atomic import write_text
from tenfold.core.errors import RunError
from tenfold.core.names import TargetName
from tenfold.core.shapes import ConvSpec, Pair, Stage
from tenfold.deploy.layer_graph import layer_graph, random_weights
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.runtime import RUNTIME_VERSION, session
from tenfold.deploy.timing import Spread, spread_of, times_ms
from tenfold.deploy.verify import runner
from tenfold.layers.chain import build_chain
from tenfold.layers.mode import in_mode

__all__ = ["MachineClock"]

Chain = tuple[Stage, ...]
Call = Callable[[], object]

_VERSION = 1  # of the way in which layers are timed
_REPETITIONS = 30
_FEWEST = 7
_ROUGH = 3
_SECONDS = 8.0  # for the candidates of one layer, after which fewer repetitions must do
_CHUNK = 200_000_000  # bytes of weights that are held at once


class MachineClock:
    """Times layers and networks in one runtime.

    Attributes:
        target: the runtime.
        threads: its threads.
    """

    def __init__(
        self, target: TargetName = "onnxruntime", threads: int = 1, cache: Path | None = None
    ) -> None:
        """Keep what is measured in the folder `cache`, by machine and content; None keeps it in memory."""
        self.target, self.threads = target, threads
        self._cache = cache
        self._known: dict[str, dict[str, float]] = {}

    def __call__(self, spec: ConvSpec, size: Pair, chains: Sequence[Chain]) -> list[float]:
        """Milliseconds of each chain in place of the layer `spec`, for one image of `size` (height, width).

        All are timed in turns with the layer itself. Those that were timed on another day are not timed anew:
        new ones are brought to the speed that the machine then had, by the layer.
        """
        place = f"layer {spec} {size}"
        known = dict(self._read(place))
        layer = (Stage(spec.out, spec.inp, spec.kernel, spec.groups),)
        missing = [chain for chain in dict.fromkeys(chains) if repr(chain) not in known and chain != layer]
        if missing or repr(layer) not in known:
            for part in _chunks(missing) or [[]]:
                times = self._timed(spec, size, [layer, *part])
                pace = known.setdefault(repr(layer), times[0]) / times[0]
                known |= {repr(chain): t * pace for chain, t in zip(part, times[1:], strict=True)}
            self._keep(place, known)
        return [known[repr(chain)] for chain in chains]

    def network_ms(self, model: nn.Module, shape: tuple[int, int, int]) -> float:
        """Median milliseconds of one image of `shape` (channels, height, width) in a whole network."""
        return self._together(f"network {_layers(model)} {shape}", {"whole": model}, shape)["whole"]

    def both(self, made: nn.Module, model: nn.Module, shape: tuple[int, int, int]) -> tuple[float, float]:
        """Median milliseconds of one image in `made` and in `model`, which are timed in turns."""
        place = f"both {_layers(made)} {_layers(model)} {shape}"
        found = self._together(place, {"made": made, "model": model}, shape)
        return found["made"], found["model"]

    def _together(
        self, place: str, models: Mapping[str, nn.Module], shape: tuple[int, int, int]
    ) -> dict[str, float]:
        """Medians of whole networks, timed in turns unless they are known."""
        known = self._read(place)
        if models.keys() - known.keys():
            known = {name: spread.median_ms for name, spread in self.compared(models, shape).items()}
            self._keep(place, known)
        return known

    def compared(self, models: Mapping[str, nn.Module], shape: tuple[int, int, int]) -> dict[str, Spread]:
        """Networks for one image, in turns."""
        with tempfile.TemporaryDirectory(prefix="tenfold-") as folder, self._threads():
            calls = [self._network_call(m, shape, Path(folder) / f"{n}.onnx") for n, m in models.items()]
            spreads = spread_of(times_ms(calls, repetitions=_REPETITIONS))
        return dict(zip(models, spreads, strict=True))

    def _network_call(self, model: nn.Module, shape: tuple[int, int, int], path: Path) -> Call:
        """One image through a network."""
        if self.target == "torch":
            return _torch_call(model, torch.zeros(1, *shape))
        image = np.zeros((1, *shape), dtype=np.float32)
        return runner(session(export_onnx(model, path, shape), threads=self.threads), image)

    def _timed(self, spec: ConvSpec, size: Pair, chains: Sequence[Chain]) -> list[float]:
        """Medians, as many repetitions as fit into the time."""
        with self._threads():
            calls = [self._layer_call(spec, size, chain) for chain in chains]
            rough = times_ms(calls, repetitions=_ROUGH, warm_up=2)
            fit = int(_SECONDS * 1e3 / float(np.median(rough, axis=0).sum()))
            repetitions = min(max(fit, _FEWEST), _REPETITIONS)
            return [s.median_ms for s in spread_of(times_ms(calls, repetitions=repetitions, warm_up=0))]

    def _layer_call(self, spec: ConvSpec, size: Pair, chain: Chain) -> Call:
        """One image through a chain."""
        shape = (size[1], spec.inp) if spec.linear else (1, spec.inp, *size)
        if self.target == "torch":
            weights = tuple(map(torch.from_numpy, random_weights(chain)))
            bias = torch.zeros(spec.out) if spec.bias else None
            return _torch_call(build_chain(spec, chain, weights, bias), torch.zeros(shape))
        images = np.zeros(shape, dtype=np.float32)
        return runner(session(layer_graph(spec, chain, size), threads=self.threads), images)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Torch with the threads of the clock, as far as it is torch that is timed."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads if self.target == "torch" else before)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _file(self, place: str) -> Path | None:
        """Where times of one layer or network are kept."""
        machine = (platform.node(), platform.machine(), os.cpu_count(), RUNTIME_VERSION, torch.__version__)
        key = sha256(repr((_VERSION, machine, self.target, self.threads, place)).encode()).hexdigest()
        return self._cache / f"latency-{key}.json" if self._cache else None

    def _read(self, place: str) -> dict[str, float]:
        """What was measured before; nothing where it cannot be read."""
        file = self._file(place)
        if place not in self._known and file is not None:
            with suppress(OSError, ValueError, AttributeError, TypeError):
                content = json.loads(file.read_text(encoding="utf-8"))
                self._known[place] = {name: float(time) for name, time in content.items() if time > 0}
        return self._known.get(place, {})

    def _keep(self, place: str, times: dict[str, float]) -> None:
        """Keep it; a folder that cannot be written to only costs time."""
        self._known[place] = times
        file = self._file(place)
        if file is not None:
            with suppress(OSError, RunError):
                file.parent.mkdir(parents=True, exist_ok=True)
                write_text(file, json.dumps(times))


def _layers(model: nn.Module) -> list[tuple[str, str]]:
    """What a network is known by: its weights take no time."""
    return [(name, repr(m)) for name, m in model.named_modules() if not any(m.children())]


def _torch_call(model: nn.Module, images: torch.Tensor) -> Call:
    """One run in eager torch."""

    def run() -> None:
        with in_mode(model, training=False), torch.inference_mode():
            model(images)

    return run


def _chunks(chains: Sequence[Chain]) -> list[list[Chain]]:
    """Chains in groups whose weights fit into memory together."""
    groups: list[list[Chain]] = []
    held = 0
    for chain in chains:
        taken = 4 * sum(prod(stage.shape) for stage in chain)
        if not groups or held + taken > _CHUNK:
            groups.append([])
            held = 0
        groups[-1].append(chain)
        held += taken
    return groups
