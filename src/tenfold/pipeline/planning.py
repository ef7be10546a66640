"""From a network and a budget to a plan: census -> moments -> table -> ranks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tenfold.compression.layers import check_layers, with_kept
from tenfold.compression.oneshot import put_chain_
from tenfold.compression.prepare import prepare
from tenfold.core.errors import PlanError
from tenfold.core.plan import Budget, Plan
from tenfold.core.shapes import at_a_time
from tenfold.data.dataset import Preprocessing
from tenfold.deploy.clock import MachineClock
from tenfold.deploy.layer_graph import random_weights
from tenfold.layers.census import Census, census, check_finite
from tenfold.layers.statistics import moments
from tenfold.options import Options, Progress
from tenfold.ranks.allocate import allocate, picked, totals
from tenfold.ranks.cache import DiskCache
from tenfold.ranks.select import get_selector
from tenfold.ranks.table import Candidate, FitCache, Layer, build_table, outline, refine_table
from tenfold.ranks.timed import stages_of, timed
from tenfold.train.batches import augmented

__all__ = [
    "STATISTICS_BATCH",
    "Planned",
    "Ranked",
    "Survey",
    "allocated",
    "beside",
    "clock_of",
    "dtype_of",
    "followed",
    "in_float32",
    "originally",
    "plan_for",
    "selected",
    "surveyed",
]

STATISTICS_BATCH = 125
"""Images at a time of a pass that only looks, if they are small; see `tenfold.core.shapes.at_a_time`."""

_REFINEMENTS = 2
_LEAST_PACE = 0.1  # a chain takes some time, whatever two noisy times differ by


@dataclass(frozen=True)
class Survey:
    """A network before anything is decided.

    Attributes:
        census: the network, counted.
        layers: what can be factorised, with its metric.
        model: the network itself, for a budget on latency.
        shape: (channels, height, width) of an image, for the same.
    """

    census: Census
    layers: list[Layer]
    model: nn.Module | None = None
    shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Planned:
    """What is known before a single layer is replaced.

    Attributes:
        census: the network, counted.
        layers: what can be factorised, with its metric.
        plan: layer -> choice.
        table: the candidates the plan was picked from; empty for a plan that was given.
        latency: what the table predicts for the whole network, of the original's time; None without a budget
            on it.
    """

    census: Census
    layers: list[Layer]
    plan: Plan
    table: dict[str, tuple[Candidate, ...]]
    latency: float | None = None


@dataclass(frozen=True)
class Ranked:
    """What ranks are chosen from.

    Attributes:
        layers: what can be factorised, with its metric.
        table: its candidates.
        limits: what may ship, by cost name, absolute.
        fixed: what the rest of the network costs, by the same names.
    """

    layers: list[Layer]
    table: dict[str, tuple[Candidate, ...]]
    limits: dict[str, float]
    fixed: dict[str, float]


Selecting = Callable[[Ranked], Plan]
"""Chooses the ranks."""


def plan_for(
    model: nn.Module,
    images: Tensor,
    preprocessing: Preprocessing,
    *,
    budget: Budget,
    scheme: str = "btd",
    options: Options | None = None,
    progress: Progress | None = None,
) -> Planned:
    """Everything up to the plan: what `tenfold inspect --budget` shows.

    Args:
        model: the network; not changed.
        images: unlabelled, (n, channels, height, width), uint8.
        preprocessing: what the network expects.
        budget: see `compress`.
        scheme: see `compress`.
        options: see `Options`; its selector is not looked at, for a search needs more than that.
        progress: told what is going on.

    Raises:
        BudgetError: the budget cannot be met.
        UnknownNameError: no such scheme.
        NonFiniteError: the network holds NaN or inf.
    """
    options = options or Options()
    tell = progress or (lambda *_: None)
    survey = surveyed(in_float32(model), images, preprocessing, options, tell)
    return allocated(survey, budget, scheme, options, tell)


def surveyed(
    model: nn.Module, images: Tensor, preprocessing: Preprocessing, options: Options, tell: Progress
) -> Survey:
    """The network, counted, and its layers with their metric."""
    check_finite(model)
    counted = census(model, preprocessing.apply(images[:1]), options.keep)
    names = [layer.name for layer in counted.factorisable]
    tell("statistics", 0, 1)
    channels, height, width = images.shape[1:]
    together = at_a_time(images.shape, STATISTICS_BATCH)
    batches = augmented(images, preprocessing, options.augmentation, batch_size=together, seed=options.seed)
    found = {} if options.metric == "plain" else moments(model, batches, names, seed=options.seed)
    tell("statistics", 1, 1)
    layers = prepare(model, counted, found, metric=options.metric)
    return Survey(counted, layers, model, (channels, height, width))


def dtype_of(model: nn.Module) -> torch.dtype:
    """The one floating dtype of the parameters; float32 where there is none or a mixture."""
    dtypes = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else torch.float32


def in_float32(model: nn.Module) -> nn.Module:
    """The network itself, or a float32 copy of one in half or double precision: images come in float32."""
    return model if dtype_of(model) == torch.float32 else copy.deepcopy(model).float()


def allocated(
    survey: Survey,
    budget: Budget | None,
    scheme: str,
    options: Options,
    tell: Progress,
    select: Selecting | None = None,
) -> Planned:
    """A table, refined around the allocation's optimum, and the plan that a selector makes of it.

    Args:
        survey: the network.
        budget: what may ship.
        scheme: of the candidates.
        options: of the fits.
        tell: told what is going on.
        select: chooses the ranks; None takes the allocation.

    Raises:
        BudgetError: the budget cannot be met.
        PlanError: there is no budget.
    """
    if budget is None:
        raise PlanError("neither a budget nor a plan was given: say what may ship, as in params=0.2")
    times = _times(survey, budget, options)
    aligned = times is not None
    rows = _timed(outline(survey.layers, scheme, aligned=aligned), survey, times, tell)
    if times is not None:
        times = times.paced(rows)
        rows = _timed(rows, survey, times, tell)
    allocate(rows, *_bounds(budget, survey, times, rows))  # refuses what cannot be met before the long work
    cache: FitCache | None = DiskCache(options.cache) if options.cache else None
    table = build_table(
        survey.layers,
        scheme,
        aligned=aligned,
        cache=cache,
        workers=options.workers,
        progress=lambda done, total: tell("candidates", done, total),
    )
    table = _timed(table, survey, times, tell)
    limits, fixed = _bounds(budget, survey, times, table)
    plan = allocate(table, limits, fixed)
    for done in range(_REFINEMENTS):
        tell("refine", done, _REFINEMENTS)
        times = times and times.matched(survey, table, plan)
        table = refine_table(
            table, survey.layers, plan, aligned=aligned, cache=cache, workers=options.workers
        )
        table = _timed(table, survey, times, tell)
        limits, fixed = _bounds(budget, survey, times, table)
        plan = allocate(table, limits, fixed)
    tell("refine", _REFINEMENTS, _REFINEMENTS)
    if select is not None:
        plan = select(Ranked(survey.layers, table, limits, fixed))
    latency = None if times is None else totals(table, plan, fixed)["latency_ms"] / times.network_ms
    return Planned(survey.census, survey.layers, with_kept(plan, survey.census), table, latency)


@dataclass(frozen=True)
class _Times:
    """What a budget on latency needs.

    Attributes:
        clock: measures layers.
        network_ms: milliseconds of one image in the network as it is.
        pace: what layers take in the network, of what they take alone among many candidates, which find no
            weights in the caches; at most 1.
        chains: the same of chains, beside the pace.
    """

    clock: MachineClock
    network_ms: float
    pace: float = 1.0
    chains: float = 1.0

    def of(self, candidate: Candidate) -> float:
        """Milliseconds in the network of a candidate that was timed alone."""
        return candidate.latency_ms * self.pace * (1.0 if candidate.choice is None else self.chains)

    def paced(self, rows: dict[str, tuple[Candidate, ...]]) -> _Times:
        """With the pace at which the layers, in the first rows, take no longer than all of the network."""
        alone = sum(row[0].latency_ms for row in rows.values())
        return replace(self, pace=self.pace * min(1.0, self.network_ms / alone) if alone else 1.0)

    def matched(self, survey: Survey, table: dict[str, tuple[Candidate, ...]], plan: Plan) -> _Times:
        """With the pace of chains that a network of these ranks, whatever its weights, shows as a whole.

        It is timed in turns with the original, which something may have slowed when it was timed first.
        """
        chosen = {name: c for name, c in picked(table, plan).items() if c.choice is not None}
        alone = sum(candidate.latency_ms for candidate in chosen.values())
        if not alone or survey.model is None or survey.shape is None:
            return self
        made = _with_chains(survey.model, survey.layers, chosen)
        made_ms, network_ms = self.clock.both(made, survey.model, survey.shape)
        times = replace(self, network_ms=min(self.network_ms, network_ms)).paced(table)
        slower = times.pace / self.pace
        rest = times.network_ms - slower * sum(table[name][0].latency_ms for name in chosen)
        taken = times.network_ms * made_ms / network_ms - rest
        return replace(times, chains=self.chains * max(taken / (slower * alone), _LEAST_PACE))


def _with_chains(model: nn.Module, layers: list[Layer], chosen: dict[str, Candidate]) -> nn.Module:
    """A copy of the network with chains of random weights: as fast as one that is fitted."""
    made = copy.deepcopy(model)
    for layer in (layer for layer in layers if layer.name in chosen):
        stages = stages_of(layer, chosen[layer.name])
        put_chain_(made, layer.name, stages, [torch.from_numpy(weight) for weight in random_weights(stages)])
    return made


def clock_of(options: Options) -> MachineClock:
    """What measures latency, as the options say."""
    return MachineClock(options.target, options.latency_threads, options.cache)


def _times(survey: Survey, budget: Budget, options: Options) -> _Times | None:
    """The clock and the original's time; None where no budget asks for them."""
    if budget.latency_ms is None or survey.model is None or survey.shape is None:
        return None
    clock = clock_of(options)
    return _Times(clock, clock.network_ms(survey.model, survey.shape))


def _timed(
    table: dict[str, tuple[Candidate, ...]], survey: Survey, times: _Times | None, tell: Progress
) -> dict[str, tuple[Candidate, ...]]:
    """The table with the milliseconds of its candidates, where a budget asks for them."""
    if times is None:
        return table
    found = timed(table, survey.layers, times.clock, lambda done, total: tell("timing", done, total))
    return {
        name: tuple(replace(c, latency_ms=times.of(c)) for c in candidates)
        for name, candidates in found.items()
    }


def _bounds(
    budget: Budget, survey: Survey, times: _Times | None, table: dict[str, tuple[Candidate, ...]]
) -> tuple[dict[str, float], dict[str, float]]:
    """What may ship, absolute, and what the network costs beside the layers of a table."""
    original = originally(survey.census) | ({"latency_ms": times.network_ms} if times else {})
    return budget.limits(original), beside(table, original)


def beside(table: dict[str, tuple[Candidate, ...]], original: dict[str, float]) -> dict[str, float]:
    """What a network of these costs has beside the layers of a table."""
    return {
        name: cost - sum(getattr(row[0], name) for row in table.values()) for name, cost in original.items()
    }


def followed(survey: Survey, plan: Plan) -> Planned:
    """A plan that was given, once all its layers are known to exist and to be factorisable."""
    check_layers(plan, survey.census, source="plan")
    return Planned(survey.census, survey.layers, with_kept(plan, survey.census), {})


def selected(name: str, seed: int) -> Selecting:
    """The rule of `tenfold.ranks.select` called `name`."""
    rule = get_selector(name)
    return lambda ranked: rule(ranked.table, ranked.limits, ranked.fixed, layers=ranked.layers, seed=seed)


def originally(counted: Census) -> dict[str, float]:
    """What the network costs, by the names of a budget."""
    return {"params": counted.params, "macs": counted.macs, "size_bytes": 4 * counted.params}
