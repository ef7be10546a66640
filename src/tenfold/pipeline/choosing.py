"""The ranks of learning-compression, chosen anew while the kernels take shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tenfold.compression.layers import with_kept
from tenfold.core.errors import BudgetError, PlanError
from tenfold.core.plan import Budget, Plan
from tenfold.options import Learning, Progress
from tenfold.pipeline.material import Material
from tenfold.pipeline.planning import Ranked, Survey, allocated, followed, selected, surveyed
from tenfold.ranks.allocate import allocate
from tenfold.ranks.composite import COMPOSITES, composite_plan
from tenfold.ranks.table import Layer, outline

__all__ = ["Chooser", "Chosen"]


@dataclass(frozen=True)
class Chosen:
    """A choice of ranks.

    Attributes:
        plan: names every layer.
        limits: what it was allowed to ship, by cost name, absolute; empty for a plan that was given.
        weakening: of the EVBMF ranks, in [-1, 1]; None where they were chosen otherwise.
    """

    plan: Plan
    limits: dict[str, float]
    weakening: float | None = None


@dataclass(frozen=True)
class Chooser:
    """Chooses ranks at some of the C steps; at the others the last ones hold.

    Attributes:
        material: images and options.
        budget: what may ship in the end.
        scheme: of the candidates.
        plan: ranks that are given, instead of a budget.
        tell: told what is going on.
    """

    material: Material
    budget: Budget | None
    scheme: str
    plan: Plan | None
    tell: Progress

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
            PlanError: there is neither a budget nor a plan, or the plan does not fit the network.
        """
        if self.plan is not None:
            followed(survey, self.plan)
            return
        limits = self._limits(survey, self.choices - 1)
        if not limits:
            raise PlanError("neither a budget nor a plan was given: say what may ship, as in params=0.2")
        # What is offered depends on the kernel; of rank 1 it has the smallest candidates there are.
        least = [replace(x, weight=torch.ones_like(x.weight)) for x in survey.layers]
        rows = outline(least, self.scheme)
        original = _originally(survey)
        fixed = {
            cost: original[cost] - sum(getattr(row[0], cost) for row in rows.values()) for cost in limits
        }
        allocate(rows, limits, fixed)

    def at(self, number: int, network: nn.Module, targets: Mapping[str, Tensor]) -> Chosen:
        """The ranks of a step that is below `choices`.

        Args:
            number: of the step, from 0.
            network: as it is trained so far, whose moments weigh errors; not changed.
            targets: the kernels that chains are fitted to, by layer.

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
            return selected(self._rule, options.seed)(ranked)

        budget = Budget(**limits) if limits else None
        planned = allocated(aimed, budget, self.scheme, options, self.tell, select)
        if not self._composite:
            return Chosen(planned.plan, limits)
        table, layers = met[0].table, met[0].layers
        plan, weakening = composite_plan(
            self.scheme, table, met[0].limits, met[0].fixed, layers, workers=options.workers
        )
        return Chosen(with_kept(plan, survey.census), limits, weakening)

    @property
    def _composite(self) -> bool:
        """Whether inner and outer ranks are chosen in two ways."""
        return self.learning.ranks == "evbmf" and self.scheme in COMPOSITES

    @property
    def _rule(self) -> str:
        """What chooses ranks from a table."""
        return "evbmf" if self.learning.ranks == "evbmf" and not self._composite else "allocation"

    def _limits(self, survey: Survey, number: int) -> dict[str, float]:
        """What may ship at a step; never more than the network itself."""
        if self.budget is None:
            return {}
        original = _originally(survey)
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


def _originally(survey: Survey) -> dict[str, int]:
    """What the network costs, by the names of a budget."""
    counted = survey.census
    return {"params": counted.params, "macs": counted.macs, "size_bytes": 4 * counted.params}


def _aimed(layer: Layer, target: Tensor) -> Layer:
    """The layer with the kernel that its chain is fitted to."""
    return replace(layer, weight=target.double().reshape(layer.spec.shape))
