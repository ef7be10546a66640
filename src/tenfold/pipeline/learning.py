"""From any weights, random ones too, to a compressed network: learning-compression.

warm-up -> direct compression -> (L step -> C step, ranks chosen anew) ... -> chains -> training -> report
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.compression.fit import Fitted
from tenfold.compression.layers import layer_reports
from tenfold.compression.lc import (
    Kernels,
    LcSettings,
    LcState,
    Penalty,
    begun,
    compressed,
    learn_compress,
)
from tenfold.compression.oneshot import apply_
from tenfold.compression.prepare import prepare
from tenfold.compression.stored import fits_from_rows, fits_to_rows
from tenfold.core.plan import Budget, Plan
from tenfold.core.report import Measures, Report
from tenfold.data.dataset import Splits, hold_out
from tenfold.options import Options
from tenfold.pipeline.choosing import Chooser, Chosen
from tenfold.pipeline.kept import check_digest
from tenfold.pipeline.learning_rows import named, told, tried
from tenfold.pipeline.material import Material, material_of
from tenfold.pipeline.measuring import Measuring, Watch, versions
from tenfold.pipeline.mending import Mending
from tenfold.pipeline.planning import Survey, dtype_of, in_float32
from tenfold.pipeline.session import Session
from tenfold.pipeline.whole import Compressed
from tenfold.runs.checkpoint import Checkpoint
from tenfold.train.constrained import Stretch, kernels_of, learn_, neutral_mu, stretch_rates
from tenfold.train.loop import Step, fill_, tensors_of
from tenfold.train.optimisers import pace
from tenfold.train.recover import Recovery
from tenfold.train.running import Running

__all__ = ["learn"]

_LEARNING, _L_STEP, _C_STEP = "learning", "l-step", "c-step"


def learn(
    model: nn.Module,
    data: Splits,
    *,
    budget: Budget | None = None,
    scheme: str = "tt-tucker",
    plan: Plan | None = None,
    options: Options | None = None,
    session: Session | None = None,
) -> Compressed:
    """Train a network that is compressed by construction, from whatever weights it has.

    Args:
        model: a classifier (logits (n, classes)), trained or not; not changed.
        data: images as `tenfold.load_data` gives them; labels of the training images are needed.
        budget: what ships at most. Needed unless a `plan` is given.
        scheme: what every C step fits; see `tenfold.compress`.
        plan: ranks layer by layer, instead of a budget.
        options: see `Options`; its training is that of the chains at the end, its recovery goes before it.
            Both learn from the network that knew the held-out images best after an L step, without held-out
            images that of the last one. None is without recovery.
        session: see `Session`.

    Returns:
        The network, its plan and its report. The history has a row "c step" for each of them, "l step" for
        each step of training between them, and one "epochs" that counts all.

    Raises:
        BudgetError: the budget cannot be met, or limits latency.
        DataError: ranks are to be chosen by held-out images, and there are none.
        PlanError, RankError: the plan does not fit the network.
        NonFiniteError: the network holds NaN or inf, or training diverged at any rate.
        RunError: the checkpoint cannot be read or written, or is of another network or other images.

    Example:
        An L step of one epoch, on a few digits:

        >>> import torch
        >>> from tenfold import Options, Splits, build, learn, load_data
        >>> from tenfold.options import Learning
        >>> from tenfold.train.recover import Recovery
        >>> from tenfold.train.supervised import Training
        >>> digits = load_data("digits")
        >>> few = Splits(digits.train.subset(torch.arange(128)), digits.test, digits.preprocessing)
        >>> options = Options(metric="plain", calibration=32, workers=1, recovery=Recovery(steps=0),
        ...     learning=Learning(Training(precision="float32"), epochs=1, warm_up=0, steps=1, choices=1))
        >>> model = build("small", classes=10, channels=1)
        >>> made = learn(model, few, budget=Budget(params=0.3), options=options)
        >>> made.report.after.params <= 0.3 * made.report.before.params
        True
    """
    session = session or Session()
    material = material_of(in_float32(model), data, options or Options(recovery=Recovery(steps=0)))
    chooser = Chooser(material, budget, scheme, plan, session.progress, session.found)
    made, planned, report = _Learning(material, chooser, session).run()
    made = made if material.original is model else made.to(dtype_of(model))
    made = made.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return Compressed(made.eval(), planned, report)


@dataclass
class _Learning:
    """The phases, in order; each goes on from what an earlier process kept of it."""

    material: Material
    chooser: Chooser
    session: Session
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The network that is trained, and what all L steps have in common."""
        options, data = self.material.options, self.material.data
        self.learning = options.learning
        self._network = copy.deepcopy(self.material.original)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._measuring = Measuring(self.material, self.session.team, self.session.progress)
        self._census = self._measuring.counted_before()
        self._layers = {x.name: x for x in prepare(self._network, self._census, {}, metric="plain")}
        self._rest, _ = hold_out(data.train, len(self.material.held_out), seed=options.seed)
        self._per_epoch = max(len(self._rest) // min(self.learning.training.batch_size, len(self._rest)), 1)
        self._rates = stretch_rates(
            self.learning.training,
            warm_up=self.learning.warm_up * self._per_epoch,
            warmed=self.learning.warm_up_schedule,
            stretch=max(round(self.learning.epochs * self._per_epoch), 1),
            stretches=self.learning.steps,
        )
        self._mu = self._first_mu()
        self._chosen: Chosen | None = None
        self._best: tuple[float, list[Tensor]] | None = None

    def run(self) -> tuple[nn.Module, Plan, Report]:
        """Everything."""
        self.chooser.check(Survey(self._census, list(self._layers.values())))
        watch = Watch(self.session.checkpoint)
        with watch.phase("learn"):
            state = self._learned()
        watch.keep()
        mending = self._mending(state)
        with watch.phase("recover"):
            mending.recover()
        watch.keep()
        if self.material.options.training.epochs:
            with watch.phase("train"):
                mending.train()
            watch.keep()
        self.history.append({"phase": "epochs", "total": self._epochs(state.number)})
        return mending.made, self._plan(state.fits), self._measured(watch, state, mending)

    def _mending(self, state: LcState) -> Mending:
        """The chains of the last fit, which learn from the best network that there was."""
        made = copy.deepcopy(self._network)
        apply_(made, state.fits)
        made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        teacher = copy.deepcopy(self._network)
        if self._best is not None:
            fill_(teacher, self._best[1])
        session = self.session
        return Mending(
            made,
            replace(self.material, original=teacher.eval()),
            session.checkpoint,
            session.team,
            session.progress,
            session.noted,
            self.history,
        )

    def _learned(self) -> LcState:
        """All L and C steps."""
        kept = self.session.checkpoint.load(_LEARNING)
        self.session.team.wait()  # before anyone writes what another one has yet to read
        if kept is None:
            self._l_step(0, Penalty(0.0, {}))
            state = begun(self._kernels(), self._c_step, self._settings(0, 0.0))
            self._after(state, self._mu)
        else:
            check_digest(kept, self.material.digest)
            state = LcState.from_rows(kept["state"])
            fill_(self._network, kept["tensors"])
            self._best = kept["best"]
            self.history += kept["history"]
        # No stop before the ranks are the final ones.
        for settings in (
            self._settings(self.chooser.choices - 1, 0.0),
            self._settings(self.learning.steps, self.learning.tolerance),
        ):
            for after in learn_compress(state, self._l_step, self._c_step, settings):
                self._after(after, state.mu)
                state = after
        return state

    def _settings(self, steps: int, tolerance: float) -> LcSettings:
        """Of a part of the LC steps."""
        learning = self.learning
        return LcSettings(steps, self._mu, learning.growth, learning.multipliers, tolerance)

    def _first_mu(self) -> float:
        """Of the first L step under the constraint; without one it means nothing."""
        if self.learning.mu is not None:
            return self.learning.mu
        training, constrained = self.learning.training, self._rates[1:]
        return neutral_mu(constrained, pace(training.optimiser, training.momentum)) if constrained else 1.0

    def _kernels(self) -> Kernels:
        """Of the network as it is."""
        return kernels_of(self._network, list(self._layers))

    def _l_step(self, number: int, penalty: Penalty) -> Kernels:
        """Train for some epochs."""
        rates = self._rates[number]
        before = sum(len(part) for part in self._rates[:number])
        if not rates:
            return self._kernels()
        options = self.material.options
        keeper = _Numbered(self.session.checkpoint, number)
        rows = learn_(
            self._network,
            self._rest,
            self.material.data.preprocessing,
            settings=self.learning.training,
            augmentation=replace(options.augmentation, cut_out=options.cut_out),
            stretch=Stretch(rates, before, penalty),
            running=Running(options.seed, options.cache, keeper, team=self.session.team),
        )
        total = sum(len(part) for part in self._rates)
        for row in rows:
            for each in told(number, before, row):
                self.history.append(each)
                self.session.noted(each)
            if isinstance(row, Step):
                self.session.progress("learn", before + row.step, total)
        return self._kernels()

    def _c_step(self, number: int, targets: Kernels, before: Mapping[str, Fitted]) -> Mapping[str, Fitted]:
        """Choose ranks where it is time, and fit: in the first process, for all."""
        checkpoint, team = self.session.checkpoint, self.session.team
        fits: Mapping[str, Fitted] = {}
        if team.rank == 0:
            sweeps, seed = self.learning.sweeps, self.material.options.seed

            def fit(plan: Plan) -> dict[str, Fitted]:
                return compressed(self._layers, targets, plan, before, sweeps=sweeps, seed=seed)

            self._chosen = None
            if number < self.chooser.choices:
                self._chosen = self.chooser.at(number, self._network, targets, fit)
            fits = fit(self._chosen.plan if self._chosen else self._plan(before))
            if team.size > 1:
                checkpoint.save(_C_STEP, {"fits": fits_to_rows(fits)})
        team.wait()
        if team.rank > 0:
            fits = fits_from_rows((checkpoint.load(_C_STEP) or {})["fits"])
        team.wait()
        return fits

    def _plan(self, fits: Mapping[str, Fitted]) -> Plan:
        """What became of each layer."""
        return Plan({x.name: fits[x.name].choice if x.name in fits else None for x in self._census.layers})

    def _after(self, state: LcState, mu: float) -> None:
        """Judge what there is, note it, and keep it."""
        self.history.append(self._row(state, mu))
        self.session.noted(self.history[-1])
        accuracy = self.history[-1].get("dense_accuracy", 0.0)
        if self._best is None or accuracy >= self._best[0]:
            self._best = accuracy, tensors_of(self._network)
        kept = {
            "digest": self.material.digest,
            "state": state.to_rows(),
            "tensors": tensors_of(self._network),
            "best": self._best,
            "history": self.history,
        }
        self.session.checkpoint.save(_LEARNING, kept)

    def _row(self, state: LcState, mu: float) -> dict[str, Any]:
        """One C step of the history."""
        made = copy.deepcopy(self._network)
        apply_(made, state.fits)
        counted = self._measuring.counted(made)
        chosen = self._chosen
        steps = sum(len(part) for part in self._rates[: state.number + 1])
        return {
            "phase": "c step",
            "number": state.number,
            "step": steps,
            "epoch": steps / self._per_epoch,
            "mu": mu,
            "feasibility": state.feasibility,
            "params": counted.params,
            "macs": counted.macs,
            "ranks": {name: named(state.fits.get(name)) for name in self._layers},
            "limits": chosen.limits if chosen else {},
            "weakening": chosen.weakening if chosen else None,
            "trials": [tried(trial) for trial in chosen.tried] if chosen else [],
            **self._judged("dense", copy.deepcopy(self._network)),
            **self._judged("compressed", made),
        }

    def _judged(self, name: str, made: nn.Module) -> dict[str, float]:
        """What the held-out images say of a network, which is changed."""
        if not len(self.material.held_out):
            return {}
        self.material.re_estimate(made)
        found = self.material.judged(made, self.material.held_out)
        return {f"{name}_accuracy": found.accuracy, f"{name}_loss": found.loss}

    def _epochs(self, number: int) -> float:
        """Passes over the training images in all, up to the end of the training of the chains.

        Those of the recovery are over few images, without labels; they count as if they were over all.
        """
        steps = sum(len(part) for part in self._rates[: number + 1])
        options = self.material.options
        images = self.material.images
        together = min(options.recovery.together(images.shape), len(images))
        recovered = options.recovery.steps * together / len(self._rest)
        return steps / self._per_epoch + recovered + options.training.epochs

    def _measured(self, watch: Watch, state: LcState, mending: Mending) -> Report:
        """What there is to tell."""
        made, original = mending.made, self.material.original
        smaller = self._measuring.counted(made)
        with watch.phase("evaluate"):
            before, after = self._measuring.accuracy(original, 0), self._measuring.accuracy(made, 1)
            last = None
            if mending.last is not None:
                last = self._measuring.accuracy_with(made, mending.last, after)
        plan = self._plan(state.fits)
        return Report(
            before=Measures(self._census.params, self._census.macs, before),
            after=Measures(smaller.params, smaller.macs, after),
            after_last=None if last is None else Measures(smaller.params, smaller.macs, last),
            layers=layer_reports(plan, dict(state.fits), self._census, smaller),
            seconds=watch.seconds,
            versions=versions(),
            history=tuple(self.history),
        )


@dataclass(frozen=True)
class _Numbered:
    """Where one L step finds and leaves its state; that of another one is none of its own."""

    checkpoint: Checkpoint
    number: int

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last."""
        state = self.checkpoint.load(_L_STEP)
        return state if state is not None and state["number"] == self.number else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state."""
        self.checkpoint.save(_L_STEP, {**state, "number": self.number})
