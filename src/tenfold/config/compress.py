"""Settings of `tenfold compress` and `tenfold search`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from tenfold.config.training import TrainingSettings
from tenfold.core.errors import BudgetError
from tenfold.core.names import CostName, SamplerName, SelectorName, SpaceName

__all__ = ["CompressSettings"]

MethodName = Literal["btd-bayes"]

_METHODS: dict[str, dict[str, Any]] = {
    "btd-bayes": {
        "scheme": "btd",
        "selector": "bayes",
        "epochs": 15,
        "rate": 0.02,
        "schedule": "cosine-cyclic",
        "cycles": 3,
        "distillation": 0.9,
    },
}
"""What a method sets, where nothing else is asked for."""


class CompressSettings(TrainingSettings):
    """Settings of a compress job."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _METHODS

    method: MethodName | None = Field(
        None,
        description="A whole way, whose settings hold where no others are given: btd-bayes takes block "
        "terms, ranks by Bayesian optimisation, and a fine-tuning with a cosine cyclic learning rate.",
    )
    until: Literal["plan", "end"] = Field(
        "end",
        description="Where the job stops: once the ranks are chosen, or once the network is made.",
    )
    selector: SelectorName = Field(
        "allocation",
        description="What chooses the ranks: allocation by predicted loss, bayes for Bayesian optimisation "
        "by trials, or a rule that does not weigh layers against each other.",
    )
    trials: int = Field(40, ge=1, description="Plans that Bayesian optimisation tries.")
    space: SpaceName = Field(
        "corrections",
        description="What it searches: corrections of each layer's predicted loss, trends of them over all "
        "layers, or the ranks themselves.",
    )
    sampler: SamplerName = Field(
        "tenfold", description="What proposes its trials; all but the first are Optuna's."
    )
    storage: str | None = Field(
        None,
        description="Where its trials are kept: a SQLite file or the URL of a database, which several "
        "processes may share; else study.db in the run directory.",
    )
    trial_steps: int = Field(60, ge=0, description="Steps of the recovery that each trial is given.")
    prune: bool = Field(True, description="Whether hopeless trials are stopped early.")
    front: CostName | None = Field(
        None, description="A limited cost that the loss is weighed against, for a front instead of one plan."
    )
    measured: int = Field(
        100, ge=0, description="Images on which the loss that each layer costs is measured; 0 for none."
    )

    @model_validator(mode="after")
    def _front_within_budget(self) -> CompressSettings:
        """Refuse a front that nothing ends."""
        if self.front is not None and self.front not in self.budget:
            raise BudgetError(
                f"front {self.front}: the budget does not limit it; give --budget {self.front}=..., "
                "where the front ends"
            )
        return self
