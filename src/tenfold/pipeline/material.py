"""A network and the images it is worked on with, and what is done with both again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import chain

from torch import Tensor, nn

from tenfold.core.shapes import at_a_time
from tenfold.data.dataset import Dataset, Splits, calibration_and_held_out, hold_out
from tenfold.options import Options
from tenfold.pipeline.planning import STATISTICS_BATCH
from tenfold.train.batches import augmented
from tenfold.train.evaluate import Evaluation, evaluate
from tenfold.train.loop import Row
from tenfold.train.normalisation import re_estimate_
from tenfold.train.recover import Recovery, mismatch, recover
from tenfold.train.running import Keeper, Running
from tenfold.train.supervised import train_
from tenfold.train.team import ALONE, Team

__all__ = ["Material", "material_of"]

_RE_ESTIMATION_PASSES = 2
_COMPARED = 500  # of the images, where two networks are compared
_FEWEST_RE_ESTIMATED = 16  # the last batch norms of a network may see a single pixel of each image


@dataclass(frozen=True)
class Material:
    """What a compression has to work with.

    Attributes:
        original: the network, in float32; not changed.
        data: images and labels.
        images: unlabelled calibration images, (n, channels, height, width), uint8.
        held_out: training images that choices are judged by; may be empty.
        options: see `Options`.
    """

    original: nn.Module
    data: Splits
    images: Tensor
    held_out: Dataset
    options: Options

    @cached_property
    def digest(self) -> str:
        """Hash of the network and of the training images, which tells whether they are the same later."""
        content = sha256()
        for tensor in (*self.original.state_dict().values(), self.data.train.images, self.data.train.labels):
            content.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(memoryview(tensor.detach().cpu().contiguous().view(-1).numpy()).cast("B"))
        return content.hexdigest()

    def re_estimate(self, made: nn.Module) -> None:
        """Batch-norm statistics of `made` over a few differently augmented passes."""
        together = max(at_a_time(self.images.shape, STATISTICS_BATCH), _FEWEST_RE_ESTIMATED)
        passes = (
            augmented(
                self.images,
                self.data.preprocessing,
                self.options.augmentation,
                batch_size=together,
                seed=self.options.seed + 1 + number,
            )
            for number in range(_RE_ESTIMATION_PASSES)
        )
        re_estimate_(made, chain.from_iterable(passes))

    def judged(self, made: nn.Module, images: Dataset) -> Evaluation:
        """Accuracy and loss of `made`."""
        return evaluate(made, images, self.data.preprocessing)

    def recovered(self, made: nn.Module, recovery: Recovery, keeper: Keeper | None = None) -> Iterator[Row]:
        """Let `made` match the original's answers."""
        return recover(
            made,
            self.original,
            self.images,
            self.data.preprocessing,
            settings=recovery,
            augmentation=self.options.augmentation,
            running=Running(self.options.seed, self.options.cache, keeper),
        )

    def mismatch(self, made: nn.Module) -> float:
        """How far the answers of `made` are from the original's on some of the images."""
        return mismatch(made, self.original, self.images[:_COMPARED], self.data.preprocessing)

    def trained(self, made: nn.Module, keeper: Keeper | None = None, team: Team = ALONE) -> Iterator[Row]:
        """Fine-tune `made` with labels, on all training images that are not held out."""
        rest, _ = hold_out(self.data.train, len(self.held_out), seed=self.options.seed)

        def judge() -> Evaluation | None:
            self.re_estimate(made)
            if not len(self.held_out):
                return None
            return evaluate(made, self.held_out, self.data.preprocessing, team=team)

        return train_(
            made,
            rest,
            self.data.preprocessing,
            settings=self.options.training,
            augmentation=replace(self.options.augmentation, cut_out=self.options.cut_out),
            teacher=self.original,
            running=Running(self.options.seed, self.options.cache, keeper, judge, team),
        )


def material_of(original: nn.Module, data: Splits, options: Options) -> Material:
    """The network and its images, with at most a fifth of the training images held out."""
    held_out = min(options.held_out, len(data.train) // 5)
    images, kept_aside = calibration_and_held_out(
        data.train, calibration=options.calibration, held_out=held_out, seed=options.seed
    )
    return Material(original, data, images, kept_aside, options)
