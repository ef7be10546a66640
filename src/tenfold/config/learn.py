"""Settings of `tenfold learn`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from tenfold.config.network import SchemeName
from tenfold.config.training import TrainingSettings
from tenfold.core.errors import BudgetError
from tenfold.core.names import LearnedRanks, ScheduleName

__all__ = ["LearnSettings"]


class LearnSettings(TrainingSettings):
    """Settings of a learn job."""

    command: ClassVar[str] = "learn"

    method: Literal["lc"] = Field(
        "lc", description="Learning-compression: training and fits in turns, with a constraint that tightens."
    )
    weights: Path | None = Field(
        None, description="Checkpoint of a trained network to begin with; else the weights are random."
    )
    scheme: SchemeName = Field("tt-tucker", description="Decomposition that is learned.")
    ranks: LearnedRanks = Field(
        "allocation",
        description="What chooses the ranks: allocation by predicted loss, evbmf+bayes for Tucker ranks by "
        "weakened EVBMF and TT ranks by Bayesian optimisation, fixed for allocation at the first fit alone.",
    )
    rank_trials: int = Field(
        16, ge=1, description="Plans that Bayesian optimisation tries each time ranks are chosen."
    )
    choices: int = Field(
        4, ge=1, description="Fits, from the first one on, before which the ranks are chosen anew."
    )
    generous: float = Field(
        2.0,
        ge=1,
        le=1000,
        description="What the budget is multiplied by at the first choice; at the last by 1.",
    )
    warm_up: int = Field(
        6, ge=0, description="Epochs without a constraint before the first fit, for ranks to take shape."
    )
    warm_up_schedule: ScheduleName = Field(
        "one-cycle",
        description="Learning rate of the warm-up; a constant one leaves its fall to the chains.",
    )
    steps: int = Field(4, ge=0, description="L steps under the constraint at most.")
    step_epochs: float = Field(3.0, gt=0, le=10_000, description="Epochs of each L step, or a part of one.")
    step_rate: float = Field(
        0.1, gt=0, le=10, description="Highest learning rate of the warm-up and the L steps."
    )
    step_schedule: ScheduleName = Field(
        "exp-cyclic",
        description="Learning rate of the L steps together; a cyclic one has a cycle in each of them.",
    )
    mu: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Weight of the constraint in the first L step; else the one at which an L step would "
        "draw the kernels e times nearer to chains, were there no loss.",
    )
    growth: float = Field(3.0, ge=1, le=1000, description="What it is multiplied by after each of them.")
    multipliers: bool = Field(
        True, description="Augmented Lagrangian; without multipliers the quadratic penalty."
    )
    tolerance: float = Field(
        1e-3,
        ge=0,
        le=1,
        description="Relative distance of weights and chains that ends the L steps; 0 for never.",
    )
    recovery_steps: int = Field(
        0,
        ge=0,
        description="Steps of a recovery without labels before the chains are trained, which matches the "
        "logits of the best network of the L steps.",
    )
    epochs: int = Field(12, ge=0, description="Epochs of training of the chains after the L steps.")
    rate: float = Field(0.1, gt=0, le=10, description="Highest learning rate of the training of the chains.")
    schedule: ScheduleName = Field(
        "one-cycle", description="Learning rate of the training of the chains, step by step."
    )

    @model_validator(mode="after")
    def _budget_of_counts(self) -> LearnSettings:
        """Refuse a budget that ranks of kernels which still change cannot be timed for."""
        if "latency_ms" in self.budget:
            raise BudgetError(
                "budget latency: learning-compression cannot limit milliseconds, for ranks change while it "
                "runs; limit macs or params here, or compress the network that it makes to a latency"
            )
        return self
