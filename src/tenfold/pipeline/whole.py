"""The whole way in one call: a trained network and unlabelled images in, a compressed network out.

census -> moments -> table -> plan -> fit -> apply -> recover (-> train) -> report
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from tenfold.compression.fit import Fitted, fit_plan
from tenfold.compression.layers import layer_reports
from tenfold.compression.oneshot import apply_
from tenfold.compression.rises import measured_rises
from tenfold.core.plan import Budget, Plan
from tenfold.core.report import Measures, Report
from tenfold.data.dataset import Splits
from tenfold.options import Noted, Options, Progress
from tenfold.pipeline.kept import from_state, to_state
from tenfold.pipeline.material import Material, material_of
from tenfold.pipeline.measuring import Measuring, Watch, versions
from tenfold.pipeline.mending import Mending
from tenfold.pipeline.planning import (
    Planned,
    Ranked,
    allocated,
    dtype_of,
    followed,
    in_float32,
    selected,
    surveyed,
)
from tenfold.pipeline.searching import best_plan, search_ranks
from tenfold.pipeline.session import Session
from tenfold.runs.checkpoint import Checkpoint
from tenfold.train.team import Team

__all__ = ["Compressed", "compress", "search_plan"]

_FITTED, _PREDICTED = "fitted", "predicted"


@dataclass(frozen=True)
class Compressed:
    """What `compress` gives back.

    Attributes:
        model: the compressed network, in evaluation mode; plain torch layers only.
        plan: what became of each layer.
        report: before, after, and how.
    """

    model: nn.Module
    plan: Plan
    report: Report


def compress(
    model: nn.Module,
    data: Splits,
    *,
    budget: Budget | None = None,
    scheme: str = "btd",
    plan: Plan | None = None,
    options: Options | None = None,
    session: Session | None = None,
) -> Compressed:
    """Make `model` fit a budget at the least loss.

    The labels of the training images are used only if ``options.training.epochs`` is above 0; the test
    images only for the accuracies in the report.

    Args:
        model: a trained classifier (logits (n, classes)); not changed. One in half or double precision is
            worked on and measured in float32, and given back as it came.
        data: images as `tenfold.load_data` gives them.
        budget: what ships at most. Needed unless a `plan` is given.
        scheme: "btd", "tucker", "cp", "tt", "tt-tucker", "svd", or "auto" (chosen layer by layer).
        plan: what to do layer by layer, instead of a budget.
        options: see `Options`.
        session: see `Session`.

    Returns:
        The network, its plan and its report.

    Raises:
        BudgetError: the budget cannot be met.
        PlanError, RankError: the plan does not fit the network.
        NonFiniteError: the network holds NaN or inf, or training diverged at any rate.
        RunError: the checkpoint cannot be read or written, or is of another network or other images.

    Example:
        A whole run on real digits is `tenfold demo`.
    """
    material = material_of(in_float32(model), data, options or Options())
    session = session or Session()
    whole = _Whole(material, session.checkpoint, session.team, session.progress, session.noted)
    made, planned, report = whole.run(lambda: _planned(material, budget, scheme, plan, session))
    made = made if material.original is model else made.to(dtype_of(model))
    # channels_last was for speed here; exporters turn it into transpositions
    made = made.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Compressed(made.eval(), planned, report)


def search_plan(
    model: nn.Module,
    data: Splits,
    *,
    budget: Budget | None,
    scheme: str = "btd",
    options: Options | None = None,
    session: Session | None = None,
) -> Plan:
    """The plan alone, by the selector of the options; the arguments and errors are those of `compress`."""
    material = material_of(in_float32(model), data, options or Options())
    return _planned(material, budget, scheme, None, session or Session()).plan


def _planned(
    material: Material,
    budget: Budget | None,
    scheme: str,
    plan: Plan | None,
    session: Session,
) -> Planned:
    """The plan that is given, or the one that the options' selector makes of the budget."""
    options, tell = material.options, session.progress
    survey = surveyed(material.original, material.images, material.data.preprocessing, options, tell)
    if plan is not None:
        return followed(survey, plan)

    def select(ranked: Ranked) -> Plan:
        if options.selector == "bayes":
            return best_plan(search_ranks(material, ranked, tell=tell, found=session.found))
        return selected(options.selector, options.seed)(ranked)

    return allocated(survey, budget, scheme, options, tell, select)


@dataclass
class _Whole:
    """The phases, in order; each goes on from what an earlier process kept of it."""

    material: Material
    checkpoint: Checkpoint
    team: Team
    tell: Progress
    noted: Noted
    _predicted: float | None = None  # latency, of the original's, by the table

    def run(self, plan: Callable[[], Planned]) -> tuple[nn.Module, Plan, Report]:
        """Everything, with what makes the plan if none is kept."""
        watch, material = Watch(self.checkpoint), self.material
        if self.team.rank > 0:
            self.team.wait()  # for the first process, whose checkpoint says how the network looks
        chosen, fits = self._fitted(watch, plan)
        made = copy.deepcopy(material.original)
        apply_(made, fits)
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mending = Mending(made, material, self.checkpoint, self.team, self.tell, self.noted)
        with watch.phase("recover"):
            mending.recover()
        watch.keep()
        if self.team.rank == 0:
            self.team.wait()
        if material.options.training.epochs:
            with watch.phase("train"):
                mending.train()
            watch.keep()
        return made, chosen, self._measured(watch, chosen, fits, mending)

    def _fitted(self, watch: Watch, plan: Callable[[], Planned]) -> tuple[Plan, dict[str, Fitted]]:
        """The plan, and its chains."""
        state = self.checkpoint.load(_FITTED)
        if state is not None:
            self._predicted = (self.checkpoint.load(_PREDICTED) or {}).get("latency")
            return from_state(state, self.material.digest)
        with watch.phase("plan"):
            planned = plan()
        options = self.material.options
        with watch.phase("fit"):
            fits = fit_plan(
                planned.layers,
                planned.plan,
                seed=options.seed,
                workers=options.workers,
                progress=lambda done, total: self.tell("fit", done, total),
            )
        if planned.latency is not None:
            self.checkpoint.save(_PREDICTED, {"latency": planned.latency})
            self._predicted = planned.latency
        self.checkpoint.save(_FITTED, to_state(planned.plan, fits, self.material.digest))
        watch.keep()
        return planned.plan, fits

    def _measured(self, watch: Watch, plan: Plan, fits: dict[str, Fitted], mending: Mending) -> Report:
        """What there is to tell."""
        original, made = self.material.original, mending.made
        measuring = Measuring(self.material, self.team, self.tell)
        counted, smaller = measuring.counted_before(), measuring.counted(made)
        with watch.phase("evaluate"):
            before, after = measuring.accuracy(original, 0), measuring.accuracy(made, 1)
            last = None if mending.last is None else measuring.accuracy_with(made, mending.last, after)
            rises = self._rises(fits)
            latency = measuring.latency(made, self._predicted)
        return Report(
            before=Measures(counted.params, counted.macs, before),
            after=Measures(smaller.params, smaller.macs, after),
            after_last=None if last is None else Measures(smaller.params, smaller.macs, last),
            layers=layer_reports(plan, fits, counted, smaller, rises),
            seconds=watch.seconds,
            versions=versions(),
            history=tuple(mending.history),
            latency=latency,
        )

    def _rises(self, fits: dict[str, Fitted]) -> dict[str, float]:
        """What each layer alone costs, on held-out images, or calibration images where there are none."""
        material, count = self.material, self.material.options.measured
        images = material.held_out.images if len(material.held_out) else material.images
        if not count:
            return {}
        return measured_rises(material.original, fits, material.data.preprocessing.apply(images[:count]))
