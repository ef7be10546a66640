"""What every job on a network needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tenfold.config.schema import explained, settings_of
from tenfold.config.values import Budgeted, Channels, Depth, Input, Names, Size
from tenfold.core.names import MetricKind, TargetName
from tenfold.core.plan import Budget

__all__ = ["InspectSettings", "NetworkSettings", "SchemeName"]

SchemeName = Literal["btd", "tucker", "cp", "tt", "tt-tucker", "svd", "auto"]

_Settings = TypeVar("_Settings", bound="NetworkSettings")


class NetworkSettings(BaseModel):
    """What every job on a network needs: the network, images, a budget, and how layers are chosen.

    A setting that is None is found out or chosen when the job starts, and stands in the `job.toml` of
    the run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    command: ClassVar[str] = "compress"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

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
    budget: Budgeted = Field(
        {},
        description="What may ship: params, macs, size_bytes or latency (milliseconds of one image, measured "
        "here), as a fraction (params=0.2) or a number above 1 (macs=20e6). Several hold together.",
    )
    target: TargetName = Field("onnxruntime", description="What runs the network, for a budget on latency.")
    latency_threads: int = Field(1, ge=1, description="Threads it runs on, for a budget on latency.")
    scheme: SchemeName = Field("btd", description="Decomposition; auto chooses layer by layer.")
    keep: Names = Field(
        (), description="Layers that stay as they are, by name or pattern, as in conv1,layer1.*."
    )
    resize: Size | None = Field(
        None, description="Height and width of the images, as in 32x32; else as they are."
    )
    channels: Depth | None = Field(None, description="1 for grey, 3 for RGB; else as the files are.")
    mean: Channels | None = Field(
        None,
        description="Mean the network expects, one value a channel for images in [0, 1]; "
        "else ImageNet's for RGB, 0.5 for grey.",
    )
    std: Channels | None = Field(
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
        preset = cls.presets.get(str(values.get("method")), {})
        try:
            return cls.model_validate({**preset, **values})
        except ValidationError as error:
            raise explained(cls, error.errors()[0]) from None

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

    input: Input | None = Field(
        None, description="Channels, height and width of an image, as in 3x32x32, where no data is given."
    )
    classes: int = Field(10, ge=1, description="Number of classes, where no data is given.")
