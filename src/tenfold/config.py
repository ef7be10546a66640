"""The settings of every job: one schema, from which job files and the command line's help are made."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tenfold.core.errors import BudgetError, TenfoldError, UnknownNameError, nearest
from tenfold.core.names import (
    CostName,
    FormName,
    LearnedRanks,
    MetricKind,
    PrecisionName,
    SamplerName,
    ScheduleName,
    SelectorName,
    SpaceName,
    TargetName,
)
from tenfold.core.plan import SHORT_NAMES, Budget

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "CompressSettings",
    "InspectSettings",
    "LearnSettings",
    "NetworkSettings",
    "Setting",
    "TrainingSettings",
    "job_settings",
    "read_toml",
    "settings_of",
]

SchemeName = Literal["btd", "tucker", "cp", "tt", "tt-tucker", "svd", "auto"]
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


def _numbers(value: object) -> object:
    """Numbers as they stand on the command line: "32x32", "0.5,0.5,0.5", or one alone."""
    if isinstance(value, str):
        return [part.strip() for part in re.split("[x,]", value)]
    return value


def _height_and_width(value: object) -> object:
    """A size; one number stands for a square."""
    value = _numbers(value)
    if isinstance(value, int):
        value = [value]
    return value * 2 if isinstance(value, list) and len(value) == 1 else value


def _whole(value: object) -> object:
    """A whole number as it stands on the command line."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _budget(value: object) -> object:
    """A budget as it stands on the command line, or in a job file."""
    given = value
    if isinstance(value, list | tuple):
        given = {
            name: bound for name, bound in Budget.parse(list(value)).as_dict().items() if bound is not None
        }
    if isinstance(given, Mapping):
        given = {SHORT_NAMES.get(str(name), str(name)): bound for name, bound in given.items()}
        known = list(Budget(params=1).as_dict())
        for name in given:
            if name not in known:
                raise BudgetError(f"budget {name!r}: is none of {', '.join(known)}")
        if given and all(isinstance(bound, int | float) for bound in given.values()):
            Budget(**given)
    return given


_Count = Annotated[int, Field(ge=1)]
_Channel = Annotated[float, Field(allow_inf_nan=False)]
_Size = Annotated[tuple[_Count, _Count], BeforeValidator(_height_and_width)]
_Input = Annotated[tuple[_Count, _Count, _Count], BeforeValidator(_numbers)]
_Depth = Annotated[Literal[1, 3], BeforeValidator(_whole)]
_Channels = Annotated[tuple[_Channel, ...], BeforeValidator(_numbers)]
_Settings = TypeVar("_Settings", bound="NetworkSettings")


class NetworkSettings(BaseModel):
    """What every job on a network needs: the network, images, a budget, and how layers are chosen.

    A setting that is None is found out or chosen when the job starts, and stands in the `job.toml` of
    the run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    command: ClassVar[str] = "compress"

    arch: str = Field(
        description="Network: resnet20, 32, 44, 56 or 110, vgg16-bn, small, torchvision:NAME, timm:NAME, or "
        "your own package.module:factory."
    )
    weights: Path | None = Field(
        None,
        description="Checkpoint of the trained network, safetensors or torch; may be left out only where the "
        "factory is your own.",
    )
    data: str | None = Field(
        None,
        description="Images: digits, cifar10, cifar100, fashion-mnist, mnist, or the path of an image folder "
        "(train/ and test/ or val/), a zip file of one, IDX files or CIFAR batches.",
    )
    budget: Annotated[dict[str, float], BeforeValidator(_budget)] = Field(
        {},
        description="What may ship: params, macs, size_bytes or latency (milliseconds of one image, measured "
        "here), as a fraction (params=0.2) or a number above 1 (macs=20e6). Several hold together.",
    )
    target: TargetName = Field("onnxruntime", description="What runs the network, for a budget on latency.")
    latency_threads: int = Field(1, ge=1, description="Threads it runs on, for a budget on latency.")
    scheme: SchemeName = Field("btd", description="Decomposition; auto chooses layer by layer.")
    resize: _Size | None = Field(
        None, description="Height and width of the images, as in 32x32; else as they are."
    )
    channels: _Depth | None = Field(None, description="1 for grey, 3 for RGB; else as the files are.")
    mean: _Channels | None = Field(
        None,
        description="Mean the network expects, one value a channel for images in [0, 1]; "
        "else ImageNet's for RGB, 0.5 for grey.",
    )
    std: _Channels | None = Field(
        None, description="Standard deviation, as mean; else ImageNet's for RGB, 0.5 for grey."
    )
    metric: MetricKind = Field(
        "logits", description="What weighs an error of a kernel: logits is best, plain needs no images."
    )
    calibration: int = Field(2000, ge=1, description="Most unlabelled training images that are looked at.")
    padding: int | None = Field(
        None,
        ge=0,
        description="Black pixels around an image before a random crop, as the network was trained; "
        "else an eighth of the height, at most 4.",
    )
    flip: bool | None = Field(
        None, description="Whether images are mirrored at random; else they are, unless they show digits."
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Processes that fit layers."
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Seed of everything that is random.")
    cache: Path | None = Field(
        None,
        description="Folder that keeps fits between jobs; else fits/ in TENFOLD_CACHE or ~/.cache/tenfold.",
    )

    @classmethod
    def make(cls: type[_Settings], values: Mapping[str, Any]) -> _Settings:
        """Settings from values by name, as texts (of a command line) or typed (of a job file).

        Raises:
            TenfoldError: one is unknown, missing or out of its range; the message names it.

        Example:
            >>> settings = InspectSettings.make({"arch": "resnet20", "input": "3x32x32"})
            >>> settings.input, settings.scheme
            ((3, 32, 32), 'btd')
        """
        preset = _METHODS.get(str(values.get("method")), {})
        try:
            return cls.model_validate({**preset, **values})
        except ValidationError as error:
            raise _explain(cls, error.errors()[0]) from None

    def with_values(self: _Settings, **values: Any) -> _Settings:
        """A copy with other values, checked anew."""
        return self.make({**{name: getattr(self, name) for name in type(self).model_fields}, **values})

    def as_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return self.model_dump(mode="json")

    def asked_budget(self) -> Budget | None:
        """The budget, or None where none was given."""
        return Budget(**self.budget) if self.budget else None

    def to_toml(self) -> str:
        """The text of a job file: every setting under what it means. One that is None is only named."""
        values = self.as_dict()
        again = f"tenfold {self.command} --job job.toml --out DIRECTORY"
        parts = [f"# Settings of a job. Run it again with: {again}\n"]
        # A table swallows what follows it, so those come last.
        for setting in sorted(settings_of(type(self)), key=lambda s: isinstance(values[s.name], dict)):
            value = values[setting.name]
            empty = value is None or value == {}
            text = f"# {setting.name} is not set\n" if empty else tomli_w.dumps({setting.name: value})
            parts.append(f"# {setting.help}\n{text}")
        return "\n".join(parts)


class InspectSettings(NetworkSettings):
    """Settings of `tenfold inspect`."""

    input: _Input | None = Field(
        None, description="Channels, height and width of an image, as in 3x32x32, where no data is given."
    )
    classes: int = Field(10, ge=1, description="Number of classes, where no data is given.")


class TrainingSettings(NetworkSettings):
    """What every job needs that makes a network and trains it."""

    data: str = Field(description=NetworkSettings.model_fields["data"].description)
    plan: Path | None = Field(None, description="Edited plan.json of an earlier run, instead of a budget.")
    held_out: int = Field(
        2000, ge=0, description="Training images kept aside to judge by; at most a fifth of them are."
    )
    epochs: int = Field(
        0, ge=0, description="Epochs of fine-tuning with labels after the recovery; 0 for one shot."
    )
    rate: float = Field(0.02, gt=0, le=10, description="Highest learning rate of the fine-tuning.")
    batch: int = Field(128, ge=1, description="Images a step of the fine-tuning.")
    momentum: float = Field(0.9, ge=0, le=0.9999, description="Momentum of the fine-tuning.")
    weight_decay: float = Field(
        5e-4, ge=0, le=1, description="Weight decay of the fine-tuning, on all parameters."
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
        "timed", description="Precision of training passes; timed takes bfloat16 where it is clearly faster."
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


class CompressSettings(TrainingSettings):
    """Settings of a compress job."""

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
        description="What it searches: corrections of each layer's predicted loss, or the ranks themselves.",
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
    recovery_steps: int = Field(
        220, ge=0, description="Steps of the recovery without labels, which matches the original's logits."
    )
    recovery_rate: float = Field(2e-3, gt=0, le=1, description="Highest learning rate of the recovery.")
    recovery_batch: int = Field(128, ge=1, description="Images a step of the recovery.")
    recovery_features: float = Field(
        100.0,
        ge=0,
        description="Weight of the blocks' outputs beside the logits in the recovery.",
        allow_inf_nan=False,
    )
    recovery_mixed: float = Field(
        0.5, ge=0, le=1, description="Share of the images blended with another one in the recovery."
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
        description="What chooses the ranks: allocation by predicted loss, evbmf for outer ranks by weakened "
        "EVBMF and inner ones by allocation, fixed for allocation at the first fit alone.",
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
        3, ge=0, description="L steps without a constraint before the first fit, for ranks to take shape."
    )
    steps: int = Field(10, ge=0, description="L steps under the constraint at most.")
    step_epochs: int = Field(2, ge=1, description="Epochs of each L step.")
    step_rate: float = Field(0.1, gt=0, le=10, description="Highest learning rate of the L steps.")
    step_schedule: ScheduleName = Field(
        "exp-cyclic",
        description="Learning rate of the L steps together; a cyclic one has a cycle in each of them.",
    )
    mu: float = Field(1e-3, gt=0, le=1e6, description="Weight of the constraint in the first L step.")
    growth: float = Field(2.0, ge=1, le=1000, description="What it is multiplied by after each of them.")
    multipliers: bool = Field(
        True, description="Augmented Lagrangian; without multipliers the quadratic penalty."
    )
    tolerance: float = Field(
        1e-3,
        ge=0,
        le=1,
        description="Relative distance of weights and chains that ends the L steps; 0 for never.",
    )
    epochs: int = Field(20, ge=0, description="Epochs of training of the chains after the L steps.")
    rate: float = Field(0.05, gt=0, le=10, description="Highest learning rate of the training of the chains.")
    schedule: ScheduleName = Field(
        "exp-cyclic", description="Learning rate of the training of the chains, step by step."
    )


def job_settings(values: Mapping[str, Any]) -> CompressSettings | LearnSettings:
    """The settings in a job file, of whichever job it is.

    Raises:
        TenfoldError: as `NetworkSettings.make`.
    """
    schema = LearnSettings if values.get("method") == "lc" else CompressSettings
    return schema.make(values)


@dataclass(frozen=True)
class Setting:
    """One setting as a form, a manual or a command line shows it.

    Attributes:
        name: as it stands in a job file.
        help: what it means.
        kind: "text", "path", "whole", "number", "flag", "choice", "numbers" or "budget".
        required: whether it has no default.
        default: as JSON; None where it is found out when the job starts.
        choices: all there are, for a choice.
        low: smallest value, or None.
        high: largest value, or None.
    """

    name: str
    help: str
    kind: str
    required: bool
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None


def settings_of(schema: type[NetworkSettings]) -> tuple[Setting, ...]:
    """All settings of a schema, in the order of its definition.

    Example:
        >>> [setting.low for setting in settings_of(CompressSettings) if setting.name == "epochs"]
        [0]
    """
    return tuple(_setting(name, field) for name, field in schema.model_fields.items())


def read_toml(path: str | Path) -> dict[str, Any]:
    """The values in a job file; nothing in it is checked yet.

    Raises:
        TenfoldError: there is no such file, or it is no TOML.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TenfoldError(
            f"job file {path}: {error.strerror or error}; give the job.toml of a run"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TenfoldError(f"job file {path}: this is no TOML ({error}); repair it") from None


def _setting(name: str, field: FieldInfo) -> Setting:
    """One field, as data."""
    kind, choices = _kind(name, field.annotation)
    limits: list[Any] = field.metadata
    lows = [value for name in ("ge", "gt") for value in _bounds(limits, name)]
    highs = _bounds(limits, "le")
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return Setting(
        name=name,
        help=field.description or "",
        kind=kind,
        required=field.is_required(),
        default=default,
        choices=choices,
        low=lows[0] if lows else None,
        high=highs[0] if highs else None,
    )


def _bounds(limits: list[Any], name: str) -> list[float]:
    """The bounds of that kind ("ge", "gt", "le") that a field has."""
    return [getattr(limit, name) for limit in limits if hasattr(limit, name)]


def _kind(name: str, annotation: Any) -> tuple[str, tuple[Any, ...]]:
    """What a field holds, and its choices."""
    if name == "budget":
        return "budget", ()
    parts = [annotation, *get_args(annotation)]
    nested = [
        inner for part in parts for inner in get_args(part)
    ]  # as in Annotated[Literal[...], ...] | None
    for part in (*parts, *nested):
        if getattr(part, "__origin__", None) is Literal:
            return "choice", get_args(part)
    simple = {bool: "flag", int: "whole", float: "number", str: "text", Path: "path"}
    found = [simple[part] for part in parts if part in simple]
    return (found[0] if found else "numbers"), ()


def _explain(schema: type[NetworkSettings], error: ErrorDetails) -> TenfoldError:
    """One error of pydantic's as one of ours: asked, met, do."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, TenfoldError):
        return cause
    known = {setting.name: setting for setting in settings_of(schema)}
    name = str(error["loc"][0])
    if name not in known:
        return UnknownNameError("setting", name, known)
    setting = known[name]
    if error["type"] == "missing":
        return TenfoldError(f"{name} is not given: pass --{name.replace('_', '-')}: {setting.help}")
    if setting.kind == "choice":
        choices = [str(choice) for choice in setting.choices]
        if setting.choices and isinstance(setting.choices[0], str):
            return UnknownNameError(name, str(error["input"]), choices)
        return TenfoldError(f"{name} = {error['input']!r}: {nearest(str(error['input']), choices)}")
    message = error["msg"][:1].lower() + error["msg"][1:]
    return TenfoldError(f"{name} = {error['input']!r}: {message}; it means: {setting.help}")
