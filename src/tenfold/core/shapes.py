"""The one noun of tenfold in integers: a layer, and the chain of plain layers that replaces it.

Everything that can be counted without a tensor is counted here, once for all schemes:
parameters, MACs, the geometry of every stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from tenfold.core.errors import ShapeError

__all__ = [
    "ConvSpec",
    "Pair",
    "Rank",
    "Stage",
    "at_a_time",
    "dense_macs",
    "dense_params",
    "geometry",
    "macs",
    "output_size",
    "params",
    "repeat_groups",
]

_PIXELS = 64 * 64

Rank = tuple[int, ...]
"""The ranks of one layer; the meaning of each place is the scheme's `rank_names`."""

Pair = tuple[int, int]
"""(vertical, horizontal)."""


@dataclass(frozen=True)
class ConvSpec:
    """A convolution or a linear layer, as integers.

    A `Linear` is a 1x1 convolution on a 1x1 image; `linear` only tells which module to build.

    Attributes:
        out: output channels (features).
        inp: input channels (features), over all groups.
        kernel: (kh, kw).
        stride: (vertical, horizontal).
        padding: zeros (or whatever `padding_mode` says) added on both sides of each axis, or
            "same" as `torch.nn.Conv2d` means it ("valid" is written (0, 0)).
        dilation: distance between the taps of the kernel.
        groups: the layer is this many independent convolutions side by side.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        bias: whether a bias of `out` numbers is added.
        linear: whether the layer is a `torch.nn.Linear`.
    """

    out: int
    inp: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair | str = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"
    bias: bool = False
    linear: bool = False

    @property
    def group(self) -> ConvSpec:
        """One of the `groups` independent convolutions (itself where there is but one)."""
        return replace(self, out=self.out // self.groups, inp=self.inp // self.groups, groups=1)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (out, inp // groups, kh, kw) of the kernel."""
        return (self.out, self.inp // self.groups, *self.kernel)


@dataclass(frozen=True)
class Stage:
    """One plain convolution of a chain; its weight is (out, inp // groups, *kernel).

    Example:
        >>> Stage(out=32, inp=32, kernel=(3, 3), groups=16).shape
        (32, 2, 3, 3)
    """

    out: int
    inp: int
    kernel: Pair = (1, 1)
    groups: int = 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the weight."""
        return (self.out, self.inp // self.groups, *self.kernel)


def at_a_time(shape: Sequence[int], most: int) -> int:
    """How many images of a shape that ends in (height, width) a pass looks at together.

    Memory grows with their pixels: `most` where they are 64x64 or smaller; of larger ones no more pixels than
    `most` of 64x64 have, but one.

    Example:
        >>> at_a_time((32, 32), 125), at_a_time((3, 224, 224), 125), at_a_time((2000, 3000), 125)
        (125, 10, 1)
    """
    return max(1, min(most, most * _PIXELS // max(prod(shape[-2:]), 1)))


def repeat_groups(stages: tuple[Stage, ...], groups: int) -> tuple[Stage, ...]:
    """The chain of one group, `groups` times side by side: what factorises a grouped convolution."""
    return tuple(Stage(s.out * groups, s.inp * groups, s.kernel, s.groups * groups) for s in stages)


def params(stages: tuple[Stage, ...], *, bias: bool) -> int:
    """Numbers a chain ships: every weight, and the bias of the last stage."""
    return sum(prod(stage.shape) for stage in stages) + (stages[-1].out if bias else 0)


def dense_params(spec: ConvSpec) -> int:
    """Numbers the layer itself ships."""
    return prod(spec.shape) + (spec.out if spec.bias else 0)


def geometry(spec: ConvSpec, stages: tuple[Stage, ...]) -> tuple[ConvSpec, ...]:
    """What each stage is as a layer of its own: the original's geometry, spread over the chain.

    On each axis stride, padding and dilation go to the first stage whose kernel is longer than 1
    on that axis, else to stage 0. That is exact because a stage without bias commutes with padding
    and subsampling on the axes it does not look along. The bias goes to the last stage. A stage
    that has nothing to pad has no padding mode either.

    Example:
        >>> spec = ConvSpec(8, 4, (3, 3), stride=(2, 1), padding=(1, 1))
        >>> chain = geometry(spec, (Stage(2, 4, (3, 1)), Stage(8, 2, (1, 3))))
        >>> [(s.stride, s.padding) for s in chain]
        [((2, 1), (1, 0)), ((1, 1), (0, 1))]
    """
    home = [next((n for n, s in enumerate(stages) if s.kernel[axis] > 1), 0) for axis in (0, 1)]

    def on_axes(values: Pair, index: int, otherwise: int) -> Pair:
        return (values[0] if home[0] == index else otherwise, values[1] if home[1] == index else otherwise)

    def padding_of(stage: Stage, index: int) -> Pair | str:
        if isinstance(spec.padding, str):
            return spec.padding if max(stage.kernel) > 1 else (0, 0)
        return on_axes(spec.padding, index, 0)

    paddings = [padding_of(stage, index) for index, stage in enumerate(stages)]
    return tuple(
        ConvSpec(
            out=stage.out,
            inp=stage.inp,
            kernel=stage.kernel,
            stride=on_axes(spec.stride, index, 1),
            padding=paddings[index],
            dilation=on_axes(spec.dilation, index, 1),
            groups=stage.groups,
            padding_mode="zeros" if paddings[index] == (0, 0) else spec.padding_mode,
            bias=spec.bias and index == len(stages) - 1,
            linear=spec.linear,
        )
        for index, stage in enumerate(stages)
    )


def output_size(spec: ConvSpec, size: Pair) -> Pair:
    """Height and width of the output for an input of `size` (height, width).

    Raises:
        ShapeError: the kernel does not fit into the padded input.
    """
    if spec.padding == "same":
        return size
    padding = (0, 0) if isinstance(spec.padding, str) else spec.padding
    axes = zip(size, spec.kernel, spec.stride, padding, spec.dilation, strict=True)
    height, width = ((s + 2 * p - d * (k - 1) - 1) // t + 1 for s, k, t, p, d in axes)
    if height < 1 or width < 1:
        raise ShapeError(f"an input of {size} is smaller than the kernel {spec.kernel}: enlarge the images")
    return (height, width)


def dense_macs(spec: ConvSpec, size: Pair) -> int:
    """Multiply-adds of the layer at batch 1 for an input of `size` (height, width); bias not counted."""
    return prod(spec.shape) * prod(output_size(spec, size))


def macs(spec: ConvSpec, stages: tuple[Stage, ...], size: Pair) -> int:
    """Multiply-adds of the chain at batch 1 for an input of `size` (height, width)."""
    total = 0
    for stage in geometry(spec, stages):
        total += dense_macs(stage, size)
        size = output_size(stage, size)
    return total
