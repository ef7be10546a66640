"""What each layer could become: candidates with their predicted cost and what they would ship.

The fits are made in the layer's own metric (`tenfold.algebra.metric`), where the squared error is the
predicted rise. They run in parallel processes and are kept by content hash, so that a second
budget on the same network costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import joblib
from torch import Tensor

from tenfold.algebra.metric import Metric
from tenfold.core.plan import Choice
from tenfold.core.shapes import ConvSpec, Pair, Rank, dense_macs, dense_params, macs, params, repeat_groups
from tenfold.ranks.aligned import aligned_middles, aligned_ranks
from tenfold.schemes.base import Scheme
from tenfold.schemes.registry import candidates_of, get_scheme

__all__ = [
    "Candidate",
    "FitCache",
    "Layer",
    "Table",
    "build_table",
    "outline",
    "priced",
    "refine_table",
]

_BYTES = 4  # what ships is float32, whatever the weights are while they are fitted
# Sweeps of an iterative fit in the table, and of kernels so large that a sweep takes a second.
_SWEEPS = 25
_SWEEPS_LARGE = 8
_LARGE = 500_000


@dataclass(frozen=True)
class Layer:
    """A layer that may be factorised, with all that its candidates depend on.

    Attributes:
        name: qualified name.
        spec: its integers.
        sizes: (height, width) of its input, one entry a call.
        weight: kernel (out, in // groups, kh, kw), in the network's dtype.
        metrics: one a group.
    """

    name: str
    spec: ConvSpec
    sizes: tuple[Pair, ...]
    weight: Tensor
    metrics: tuple[Metric, ...]

    def kernel(self, group: int) -> Tensor:
        """The kernel of one group, (out / groups, in / groups, kh, kw), float64.

        Not kept, since all of a VGG-16 take a gigabyte in float64; of a float64 layer it is a view.
        """
        return self.weight.chunk(self.spec.groups)[group].double()

    def whitened(self, group: int, *, separable: bool) -> Tensor:
        """That kernel in the metric which a scheme can undo that is `separable` or not."""
        return self.metrics[group].whiten(self.kernel(group), separable=separable)

    def kernels(self) -> tuple[Tensor, ...]:
        """That of each group."""
        return tuple(self.kernel(group) for group in range(self.spec.groups))


@dataclass(frozen=True)
class Candidate:
    """One thing a layer could become.

    Attributes:
        choice: scheme and rank; None keeps the layer.
        rise: predicted rise of the squared logit error, at least 0; 0 for a kept layer.
        params: numbers that ship, bias included.
        macs: multiply-adds at batch 1.
        size_bytes: bytes of those numbers in float32.
        latency_ms: milliseconds of one image in it; 0 where it was not measured (see `tenfold.ranks.timed`).
    """

    choice: Choice | None
    rise: float
    params: int
    macs: int
    size_bytes: int
    latency_ms: float = 0.0


Table = Mapping[str, tuple[Candidate, ...]]
"""Layer name -> candidates; the first one keeps the layer."""


class FitCache(Protocol):
    """Errors of fits by content hash; see `tenfold.ranks.cache`."""

    def get(self, key: str) -> dict[Rank, float]:
        """What is known for a kernel and a scheme: rank -> rise."""

    def put(self, key: str, rises: Mapping[Rank, float]) -> None:
        """Keep what was found."""

    def key(self, kernels: tuple[Tensor, ...], scheme: str, sweeps: int) -> str:
        """Hash of all that a fit depends on."""


@dataclass(frozen=True)
class _Task:
    """Fits of one scheme to one layer."""

    layer: Layer
    scheme: str
    ranks: tuple[Rank, ...]


def build_table(
    layers: Iterable[Layer],
    scheme: str,
    *,
    aligned: bool = False,
    cache: FitCache | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[Candidate, ...]]:
    """Fit every candidate of every layer.

    Args:
        layers: what may be factorised.
        scheme: a scheme, or "auto" for the choice among several layer by layer.
        aligned: whether widths are rounded to what processors like (see `tenfold.ranks.aligned`).
        cache: where fits are kept between runs; none by default.
        workers: processes to fit in, at least 1; 1 fits in this process.
        progress: called with (layers done, layers in all).

    Returns:
        For each layer the candidate that keeps it, then all that save parameters or MACs.

    Raises:
        UnknownNameError: no such scheme.
    """
    layers = list(layers)
    tasks = [task for layer in layers for task in _tasks(layer, scheme, aligned=aligned)]
    table: dict[str, tuple[Candidate, ...]] = {layer.name: (_kept(layer),) for layer in layers}
    for done, (task, rises) in enumerate(_solve(tasks, cache, workers), start=1):
        table[task.layer.name] += _candidates(task, rises)
        if progress:
            progress(done, len(tasks))
    return table


def outline(
    layers: Iterable[Layer], scheme: str, *, aligned: bool = False
) -> dict[str, tuple[Candidate, ...]]:
    """The table of `build_table` before anything is fitted: all costs, every rise 0."""
    table: dict[str, tuple[Candidate, ...]] = {}
    for layer in layers:
        tasks = _tasks(layer, scheme, aligned=aligned)
        found = (c for task in tasks for c in _candidates(task, dict.fromkeys(task.ranks, 0.0)))
        table[layer.name] = (_kept(layer), *found)
    return table


def refine_table(
    table: Table,
    layers: Iterable[Layer],
    chosen: Mapping[str, Choice | None],
    *,
    aligned: bool = False,
    cache: FitCache | None = None,
    workers: int = 1,
) -> dict[str, tuple[Candidate, ...]]:
    """Add the ranks half-way between each chosen one and its neighbours in the table, `aligned` if asked."""
    tasks = []
    for layer in layers:
        choice = chosen.get(layer.name)
        if choice is not None:
            ranks = _between(choice, table[layer.name], layer.spec.group, aligned=aligned)
            tasks.append(_Task(layer, choice.scheme, ranks))
    finer = dict(table)
    for task, rises in _solve(tasks, cache, workers):
        finer[task.layer.name] += _candidates(task, rises)
    return finer


def priced(
    layers: Iterable[Layer], scheme: str, ranks: Mapping[str, Iterable[Rank]], *, workers: int = 1
) -> dict[str, tuple[Candidate, ...]]:
    """A table of one scheme at ranks that are given.

    Args:
        layers: what may be factorised.
        scheme: of all candidates; not "auto".
        ranks: feasible ones by layer; those that save neither parameters nor MACs are left out.
        workers: processes to fit in, at least 1.
    """
    made = get_scheme(scheme)
    tasks = [
        _Task(layer, scheme, tuple(rank for rank in sorted(ranks[layer.name]) if _saves(layer, made, rank)))
        for layer in layers
    ]
    solved = _solve(tasks, None, workers)
    return {task.layer.name: (_kept(task.layer), *_candidates(task, rises)) for task, rises in solved}


def _tasks(layer: Layer, scheme: str, *, aligned: bool) -> Iterator[_Task]:
    """The fits that `scheme` asks for on one layer."""
    group = layer.spec.group
    for candidate in candidates_of(scheme, pointwise=group.kernel == (1, 1)):
        ladder = candidate.ladder(layer.whitened(0, separable=candidate.separable))
        if aligned:
            ladder = aligned_ranks(candidate, group, ladder)
        ranks = tuple(rank for rank in ladder if _saves(layer, candidate, rank))
        if ranks:
            yield _Task(layer, candidate.name, ranks)


def _solve(
    tasks: list[_Task], cache: FitCache | None, workers: int
) -> Iterator[tuple[_Task, dict[Rank, float]]]:
    """Rises of all ranks of all tasks, in the order of the tasks; from the cache where it knows them."""
    keys, known = [], []
    for task in tasks:
        key = cache.key(_whitened(task), task.scheme, _sweeps(task.layer)) if cache else ""
        keys.append(key)
        known.append(cache.get(key) if cache else {})
    missing = [
        replace(task, ranks=tuple(rank for rank in task.ranks if rank not in found))
        for task, found in zip(tasks, known, strict=True)
    ]
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1)
    solved = parallel(joblib.delayed(_rises)(task) for task in missing)
    for task, key, found, new in zip(tasks, keys, known, solved, strict=True):
        if cache and new:
            cache.put(key, {**found, **new})
        yield task, {rank: {**found, **new}[rank] for rank in task.ranks}


def _rises(task: _Task) -> dict[Rank, float]:
    """Fit every rank of a task: the work of one process."""
    if not task.ranks:
        return {}
    scheme, layer = get_scheme(task.scheme), task.layer
    rises = dict.fromkeys(task.ranks, 0.0)
    for kernel in _whitened(task):
        energy = float(kernel.square().sum())
        for rank, error in scheme.errors(kernel, task.ranks, sweeps=_sweeps(layer)).items():
            rises[rank] += 0.5 * energy * error**2
    return rises


def _whitened(task: _Task) -> tuple[Tensor, ...]:
    """The kernels of a task's layer in the metric its scheme can undo."""
    separable = get_scheme(task.scheme).separable
    return tuple(task.layer.whitened(group, separable=separable) for group in range(task.layer.spec.groups))


def _sweeps(layer: Layer) -> int:
    """Enough sweeps to rank candidates by."""
    return _SWEEPS_LARGE if layer.weight.numel() > _LARGE else _SWEEPS


def _saves(layer: Layer, scheme: Scheme, rank: Rank) -> bool:
    """Whether a rank ships fewer numbers, or fewer multiply-adds, than the layer itself."""
    made = _candidate(layer, Choice(scheme.name, rank), 0.0)
    kept = _kept(layer)
    return made.params < kept.params or made.macs < kept.macs


def _kept(layer: Layer) -> Candidate:
    """The layer as it is."""
    numbers = dense_params(layer.spec)
    work = sum(dense_macs(layer.spec, size) for size in layer.sizes)
    return Candidate(None, 0.0, numbers, work, numbers * _BYTES)


def _candidate(layer: Layer, choice: Choice, rise: float) -> Candidate:
    """What a choice would ship."""
    one = get_scheme(choice.scheme).layout(layer.spec.group, choice.rank)
    stages = repeat_groups(one, layer.spec.groups)
    numbers = params(stages, bias=layer.spec.bias)
    work = sum(macs(layer.spec, stages, size) for size in layer.sizes)
    return Candidate(choice, rise, numbers, work, numbers * _BYTES)


def _candidates(task: _Task, rises: Mapping[Rank, float]) -> tuple[Candidate, ...]:
    """Rows of the table."""
    return tuple(_candidate(task.layer, Choice(task.scheme, rank), rise) for rank, rise in rises.items())


def _between(
    choice: Choice, row: tuple[Candidate, ...], spec: ConvSpec, *, aligned: bool
) -> tuple[Rank, ...]:
    """Ranks half-way from a chosen one to the next smaller and larger of its scheme and block size."""
    scheme = get_scheme(choice.scheme)
    family = sorted(
        (c for c in row if c.choice and c.choice.scheme == choice.scheme and _same_blocks(c.choice, choice)),
        key=lambda c: c.params,
    )
    ranks = [c.choice.rank for c in family if c.choice]
    place = ranks.index(choice.rank)
    near = ranks[max(0, place - 1) : place] + ranks[place + 1 : place + 2]
    made = set()
    for other in near:
        middle = tuple((a + b) // 2 for a, b in zip(choice.rank, other, strict=True))
        made.add(scheme.clip(spec, middle))
    if aligned:
        made = set(aligned_middles(scheme, spec, made))
    return tuple(sorted(made - {c.choice.rank for c in row if c.choice and c.choice.scheme == scheme.name}))


def _same_blocks(one: Choice, other: Choice) -> bool:
    """Block terms compare with equal blocks only; single blocks (Tucker) with single blocks."""
    if one.scheme != "btd":
        return True
    if one.rank[0] == 1 or other.rank[0] == 1:
        return one.rank[0] == other.rank[0]
    return one.rank[1:] == other.rank[1:]
