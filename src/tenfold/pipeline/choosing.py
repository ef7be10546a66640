"""The ranks of learning-compression, chosen anew while the kernels take shape."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tenfold.compression.layers import with_kept
from tenfold.core.errors import BudgetError, PlanError
from tenfold.core.plan import Budget, Plan
from tenfold.options import Learning, Progress
from tenfold.pipeline.material import Material
from tenfold.pipeline.planning import Ranked, Survey, allocated, beside, followed, originally, surveyed
from tenfold.pipeline.searching import Fitting, Searched, best_plan, check_judges, search_ranks
from tenfold.ranks.allocate import allocate
from tenfold.ranks.composite import COMPOSITES, composite
from tenfold.ranks.table import Layer, outline
from tenfold.search.tried import Tried

__all__ = ["Chooser", "Chosen"]

_FEW = 500  # images that the batch norms of a trial are estimated on


@dataclass(frozen=True)
class Chosen:
    """A choice of ranks.

    Attributes:
        plan: names every layer.
        limits: what it was allowed to ship, by cost name, absolute; empty for a plan that was given.
        weakening: of the EVBMF ranks, in [-1, 1]; None where they were chosen otherwise.
        tried: the trials of Bayesian optimisation; none where there was none.
    """

    plan: Plan
    limits: dict[str, float]
    weakening: float | None = None
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True)
class Chooser:
    """Chooses ranks at some of the C steps; at the others the last ones hold.

    Attributes:
        material: images and options.
        budget: what may ship in the end.
        scheme: of the candidates.
        plan: ranks that are given, instead of a budget.
        tell: told what is going on.
        found: given all that a search of ranks knows whenever a trial has ended.
    """

    material: Material
    budget: Budget | None
    scheme: str
    plan: Plan | None
    tell: Progress
    found: Callable[[Searched], None]

    @property
    def learning(self) -> Learning:
        """When, how, and how generously at first."""
        return self.material.options.learning

    @property
    def choices(self) -> int:
        """C steps, from step 0 on, at which ranks are chosen."""
        if self.plan is not None or self.learning.ranks == "fixed":
            return 1
        return max(1, min(self.learning.choices, self.learning.steps + 1))

    def generosity(self, number: int) -> float:
        """What the budget is multiplied by at a step: from `generous` down to 1, in equal ratios."""
        last = self.choices - 1
        return self.learning.generous ** (1 - number / last) if last else 1.0

    def check(self, survey: Survey) -> None:
        """Refuse what cannot be met before the long work.

        Raises:
            BudgetError: the budget cannot be met.
            DataError: plans are to be tried, and no images are held out to judge them by.
            PlanError: there is neither a budget nor a plan, or the plan does not fit the network.
        """
        if self.plan is not None:
            followed(survey, self.plan)
            return
        if self.learning.ranks == "evbmf+bayes":
            check_judges(self.material)
        limits = self._limits(survey, self.choices - 1)
        if not limits:
            raise PlanError("neither a budget nor a plan was given: say what may ship, as in params=0.2")
        # What is offered depends on the kernel; of rank 1 it has the smallest candidates there are.
        least = [replace(x, weight=torch.ones_like(x.weight)) for x in survey.layers]
        rows = outline(least, self.scheme)
        allocate(rows, limits, beside(rows, originally(survey.census)))

    def at(
        self,
        number: int,
        network: nn.Module,
        targets: Mapping[str, Tensor],
        fit: Fitting,
    ) -> Chosen:
        """The ranks of a step that is below `choices`.

        Args:
            number: of the step, from 0.
            network: as it is trained so far, whose moments weigh errors; not changed.
            targets: the kernels that chains are fitted to, by layer.
            fit: fits chains to them.

        Raises:
            BudgetError: the budget cannot be met.
            PlanError: there is neither a budget nor a plan, or the plan does not fit the network.
        """
        material, options = self.material, replace(self.material.options, cache=None)
        survey = surveyed(network, material.images, material.data.preprocessing, options, self.tell)
        if self.plan is not None:
            return Chosen(with_kept(followed(survey, self.plan).plan, survey.census), {})
        aimed = Survey(survey.census, [_aimed(layer, targets[layer.name]) for layer in survey.layers])
        limits = self._limits(survey, number)
        met: list[Ranked] = []

        def select(ranked: Ranked) -> Plan:
            met.append(ranked)
            return allocate(ranked.table, ranked.limits, ranked.fixed)

        budget = Budget(**limits) if limits else None
        plan = allocated(aimed, budget, self.scheme, options, self.tell, select).plan
        if self.learning.ranks != "evbmf+bayes":
            return Chosen(plan, limits)
        ranked, weakening = self._with_outer_ranks(met[0])
        trying = self._trying(network)
        searched = search_ranks(
            trying, ranked, tell=self.tell, found=self.found, fit=fit, name=f"step {number}"
        )
        return Chosen(with_kept(best_plan(searched), survey.census), limits, weakening, searched.tried)

    def _with_outer_ranks(self, ranked: Ranked) -> tuple[Ranked, float | None]:
        """What is left to search, of a tensor train the inner ranks, and the weakening of EVBMF."""
        if self.scheme not in COMPOSITES:
            return ranked, None
        made = composite(
            self.scheme,
            ranked.table,
            ranked.limits,
            ranked.fixed,
            ranked.layers,
            workers=self.material.options.workers,
        )
        return replace(ranked, table=made.table), made.weakening

    def _trying(self, network: nn.Module) -> Material:
        """What plans are tried on: the network as it is, without any training."""
        options = self.material.options
        searching = replace(options.searching, steps=0, front=None)
        return replace(
            self.material,
            original=copy.deepcopy(network).eval(),
            images=self.material.images[:_FEW],
            options=replace(options, searching=searching),
        )

    def _limits(self, survey: Survey, number: int) -> dict[str, float]:
        """What may ship at a step; never more than the network itself."""
        if self.budget is None:
            return {}
        original = originally(survey.census)
        asked = {name for name, limit in self.budget.as_dict().items() if limit is not None}
        if not asked <= set(original):
            raise BudgetError(
                f"budget {min(asked - set(original))}: learning-compression can limit "
                f"{', '.join(original)}; compress the network that it makes for the rest"
            )
        factor = self.generosity(number)
        return {
            name: min(limit * factor, float(original[name]))
            for name, limit in self.budget.limits(original).items()
        }


def _aimed(layer: Layer, target: Tensor) -> Layer:
    """The layer with the kernel that its chain is fitted to."""
    return replace(layer, weight=target.double().reshape(layer.spec.shape))
