"""Candidates with the milliseconds that they take where the network will run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from tenfold.core.shapes import ConvSpec, Pair, Stage, repeat_groups
from tenfold.ranks.table import Candidate, Layer, Table
from tenfold.schemes.registry import get_scheme

__all__ = ["Clock", "stages_of", "timed"]

Chain = tuple[Stage, ...]


class Clock(Protocol):
    """Measures layers; given from above, for nothing here knows a runtime."""

    def __call__(self, spec: ConvSpec, size: Pair, chains: Sequence[Chain]) -> list[float]:
        """Milliseconds of each chain in place of the layer `spec`, for one image of `size`.

        The layer itself is a chain of one stage.
        """


def timed(
    table: Table,
    layers: Iterable[Layer],
    clock: Clock,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, tuple[Candidate, ...]]:
    """The table with `latency_ms` of every candidate; layers of one shape are measured once.

    Args:
        table: candidates; what they have as latency is replaced.
        layers: all those of the table.
        clock: measures.
        progress: called with (shapes done, shapes in all).
    """
    layers = list(layers)
    wanted: dict[tuple[ConvSpec, Pair], dict[Chain, None]] = {}
    for layer in layers:
        for size in layer.sizes:
            chains = (stages_of(layer, candidate) for candidate in table[layer.name])
            wanted.setdefault((layer.spec, size), {}).update(dict.fromkeys(chains))
    found: dict[tuple[ConvSpec, Pair, Chain], float] = {}
    for done, ((spec, size), asked) in enumerate(wanted.items()):
        if progress:
            progress(done, len(wanted))
        times = clock(spec, size, tuple(asked))
        found |= {(spec, size, chain): time for chain, time in zip(asked, times, strict=True)}
    if progress:
        progress(len(wanted), len(wanted))
    return {
        layer.name: tuple(
            replace(c, latency_ms=sum(found[layer.spec, size, stages_of(layer, c)] for size in layer.sizes))
            for c in table[layer.name]
        )
        for layer in layers
    }


def stages_of(layer: Layer, candidate: Candidate) -> Chain:
    """The stages of a candidate; of a layer that is kept, itself."""
    spec, choice = layer.spec, candidate.choice
    if choice is None:
        return (Stage(spec.out, spec.inp, spec.kernel, spec.groups),)
    return repeat_groups(get_scheme(choice.scheme).layout(spec.group, choice.rank), spec.groups)
