"""What every job needs that makes a network and trains it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from tenfold.config.network import NetworkSettings
from tenfold.core.errors import BudgetError
from tenfold.core.names import FormName, OptimiserName, PrecisionName, ScheduleName

__all__ = ["TrainingSettings"]


class TrainingSettings(NetworkSettings):
    """What every job needs that makes a network and trains it."""

    data: str = Field(description=NetworkSettings.model_fields["data"].description)
    plan: Path | None = Field(None, description="Edited plan.json of an earlier run, instead of a budget.")
    held_out: int = Field(
        2000, ge=0, description="Training images kept aside to judge by; at most a fifth of them are."
    )
    recovery_steps: int = Field(
        220, ge=0, description="Steps of the recovery without labels, which matches the original's logits."
    )
    recovery_rate: float = Field(2e-3, gt=0, le=1, description="Highest learning rate of the recovery.")
    recovery_batch: int | None = Field(
        None, ge=1, description="Images a step of the recovery; else 128, fewer of images above 64x64."
    )
    recovery_features: float = Field(
        100.0,
        ge=0,
        description="Weight of the blocks' outputs beside the logits in the recovery.",
        allow_inf_nan=False,
    )
    recovery_mixed: float = Field(
        0.5, ge=0, le=1, description="Share of the images blended with another one in the recovery."
    )
    epochs: int = Field(
        0, ge=0, description="Epochs of fine-tuning with labels after the recovery; 0 for one shot."
    )
    rate: float = Field(0.02, gt=0, le=10, description="Highest learning rate of the fine-tuning.")
    batch: int = Field(128, ge=1, description="Images a step of the fine-tuning.")
    optimiser: OptimiserName = Field(
        "sgd",
        description="What steps the weights in the fine-tuning and the L steps: SGD with Nesterov momentum, "
        "or Muon, whose steps are orthogonal matrices, at a tenth of the rate.",
    )
    momentum: float = Field(0.9, ge=0, le=0.9999, description="Momentum of the fine-tuning.")
    weight_decay: float = Field(
        5e-4,
        ge=0,
        le=1,
        description="Weight decay of the fine-tuning: on all parameters for SGD, on matrices alone for Muon.",
    )
    schedule: ScheduleName = Field("one-cycle", description="Learning rate of the fine-tuning, step by step.")
    cycles: int = Field(1, ge=1, description="Cycles of a cyclic schedule.")
    smoothing: float = Field(0.0, ge=0, le=0.9, description="Label smoothing of the fine-tuning.")
    distillation: float = Field(
        0.0, ge=0, le=1, description="Weight of the original's answers beside the labels in the fine-tuning."
    )
    temperature: float = Field(
        4.0, gt=0, le=100, description="Temperature at which answers are compared in the fine-tuning."
    )
    mirrored: bool = Field(
        False,
        description="Whether the fine-tuning learns the original's mean answer to an image and its mirror "
        "image, where images are mirrored (flip); that takes the original twice the time.",
    )
    mixed: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the images of the fine-tuning that are blended with another one, labels alike.",
    )
    cut_out: int = Field(
        0, ge=0, description="Side of a black square put on each training image, in pixels; 0 for none."
    )
    averaging: float = Field(
        0.0,
        ge=0,
        le=0.99999,
        description="Decay of a running average of the weights, which is then what ships; 0 for none.",
    )
    form: FormName = Field(
        "timed",
        description="How chains are trained: as they are, as one kernel rebuilt each step, or the faster.",
    )
    precision: PrecisionName = Field(
        "timed",
        description="Precision of training passes; timed takes bfloat16 where it is clearly faster, and "
        "decides separately for the answers of an original that is distilled.",
    )
    threads: int | None = Field(None, ge=1, description="Threads of torch; else as many as it takes.")
    out: Path | None = Field(
        None, description="Run directory to make; else the first free one of runs/ARCH, runs/ARCH-2, ..."
    )

    @model_validator(mode="after")
    def _one_of_budget_and_plan(self) -> TrainingSettings:
        """Refuse a job that does not say what may ship, or says it twice."""
        if not self.budget and self.plan is None:
            raise BudgetError(
                "neither a budget nor a plan was given: say what may ship, as in --budget params=0.2"
            )
        if self.budget and self.plan is not None:
            raise BudgetError(
                "both a budget and a plan were given, and a plan says all: leave one of them out"
            )
        return self
