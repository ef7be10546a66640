"""The chain as a module: an `nn.Sequential` of plain layers, there and back."""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod

import torch
from torch import Tensor, nn

from tenfold.core.errors import ShapeError, UnsupportedLayerError
from tenfold.core.shapes import ConvSpec, Pair, Stage, geometry
from tenfold.layers.describe import has_hooks, read_spec

__all__ = ["build_chain", "chain_spec", "chain_weights", "is_chain"]


def build_chain(
    spec: ConvSpec,
    stages: tuple[Stage, ...],
    weights: tuple[Tensor, ...],
    bias: Tensor | None,
    *,
    trainable: bool = True,
) -> nn.Sequential:
    """The plain layers that stand in for the layer `spec`.

    Calling it gives what the original layer gives with the composite kernel of the chain in place
    of its own. Nothing is initialised, so no random numbers are drawn.

    Args:
        spec: the layer that is replaced.
        stages: its chain, first stage first.
        weights: one a stage, of shape `stage.shape`; copied. Their dtype and device are the chain's.
        bias: (out,), for the last stage; copied. None exactly if the layer has none.
        trainable: `requires_grad` of every parameter; give that of the layer's weight.

    Returns:
        As many `nn.Conv2d` (`nn.Linear` where `spec.linear`) as there are stages, bias in the last alone.

    Raises:
        ShapeError: stages, weights and bias do not make up a chain for `spec`.

    Example:
        >>> spec = ConvSpec(8, 4, (3, 3), padding=(1, 1))
        >>> stages = (Stage(2, 4, (3, 1)), Stage(8, 2, (1, 3)))
        >>> chain = build_chain(spec, stages, tuple(torch.ones(s.shape) for s in stages), None)
        >>> tuple(chain(torch.zeros(1, 4, 5, 7)).shape)
        (1, 8, 5, 7)
    """
    _check_stages(spec, stages)
    _check_tensors(spec, stages, weights, bias)
    layers = [_layer(stage) for stage in geometry(spec, stages)]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight = _parameter(weight.reshape(layer.weight.shape), trainable=trainable)
    if bias is not None:
        layers[-1].bias = _parameter(bias, trainable=trainable)
    return nn.Sequential(*layers)


def chain_spec(module: nn.Module) -> tuple[ConvSpec, tuple[Stage, ...]]:
    """The layer that a chain stands in for, and the stages: what `build_chain` was given.

    Of a grouped layer's chain the groups are the largest number of independent parts. A padding mode
    that changes nothing is read as "zeros".

    Raises:
        UnsupportedLayerError: the module is no chain (see `is_chain`).
    """
    specs = _plain_specs(module)
    stages = tuple(Stage(s.out, s.inp, s.kernel, s.groups) for s in specs)
    spec = ConvSpec(
        out=specs[-1].out,
        inp=specs[0].inp,
        kernel=_on_axes([s.kernel for s in specs]),
        stride=_on_axes([s.stride for s in specs]),
        padding=_padding(specs),
        dilation=_on_axes([s.dilation for s in specs]),
        groups=gcd(*(s.groups for s in specs)),
        padding_mode=next((s.padding_mode for s in specs if s.padding_mode != "zeros"), "zeros"),
        bias=specs[-1].bias,
        linear=specs[0].linear,
    )
    try:
        _check_stages(spec, stages)
    except ShapeError as error:
        raise UnsupportedLayerError(f"no chain: {error}") from None
    if geometry(spec, stages) != specs:
        raise UnsupportedLayerError("no chain: biases, strides or paddings are not where a chain has them")
    return spec, stages


def is_chain(module: nn.Module) -> bool:
    """Whether the module is an `nn.Sequential` such as `build_chain` makes.

    That is: only plain `nn.Conv2d` or only plain `nn.Linear`, bias in the last alone, not more than one
    stage looking along each axis, stride, padding and dilation where `core.shapes.geometry` puts them.
    A network's own `nn.Sequential` of such layers is a chain as well: the law holds for it too.

    Example:
        >>> is_chain(nn.Sequential(nn.Linear(8, 2, bias=False), nn.Linear(2, 8)))
        True
        >>> is_chain(nn.Sequential(nn.Linear(8, 2, bias=False), nn.ReLU(), nn.Linear(2, 8)))
        False
    """
    try:
        chain_spec(module)
    except UnsupportedLayerError:
        return False
    return True


def chain_weights(module: nn.Module) -> tuple[Tensor, ...]:
    """The weights of a chain's stages, (out, inp // groups, kh, kw) each, also of a linear one.

    They share memory with the parameters and carry their gradient.

    Raises:
        UnsupportedLayerError: the module is no chain.
    """
    _, stages = chain_spec(module)
    weights = [layer.weight for layer in module._modules.values() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return tuple(w.reshape(s.shape) for w, s in zip(weights, stages, strict=True))


def _layer(spec: ConvSpec) -> nn.Conv2d | nn.Linear:
    """One stage, without memory for its weights."""
    if spec.linear:
        return nn.Linear(spec.inp, spec.out, bias=False, device="meta")
    return nn.Conv2d(
        spec.inp,
        spec.out,
        spec.kernel,
        stride=spec.stride,
        padding=spec.padding,
        dilation=spec.dilation,
        groups=spec.groups,
        bias=False,
        padding_mode=spec.padding_mode,  # type: ignore[arg-type]
        device="meta",
    )


def _parameter(tensor: Tensor, *, trainable: bool) -> nn.Parameter:
    """A parameter of its own memory."""
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    return nn.Parameter(copy, requires_grad=trainable)


def _check_stages(spec: ConvSpec, stages: tuple[Stage, ...]) -> None:
    """Refuse stages that are no chain for `spec`."""
    if not stages:
        raise ShapeError("a chain needs at least one stage")
    ends = (stages[0].inp, stages[-1].out)
    if ends != (spec.inp, spec.out):
        raise ShapeError(
            f"a chain from {ends[0]} to {ends[1]} channels cannot replace {spec.inp} to {spec.out}"
        )
    for first, second in pairwise(stages):
        if first.out != second.inp:
            raise ShapeError(f"a stage gives {first.out} channels, the next one takes {second.inp}")
    for axis in (0, 1):
        lengths = [s.kernel[axis] for s in stages if s.kernel[axis] > 1]
        if lengths != [k for k in (spec.kernel[axis],) if k > 1]:
            raise ShapeError(
                f"kernels {[s.kernel for s in stages]} do not make up {spec.kernel}: one stage an axis"
            )
    if spec.linear and any(s.groups > 1 for s in stages):
        raise ShapeError("a chain of linear layers has no groups; use a scheme without")


def _check_tensors(
    spec: ConvSpec, stages: tuple[Stage, ...], weights: tuple[Tensor, ...], bias: Tensor | None
) -> None:
    """Refuse weights or a bias that do not fit the stages."""
    given, asked = [tuple(w.shape) for w in weights], [s.shape for s in stages]
    if given != asked:
        raise ShapeError(f"weights of shapes {given} for stages of shapes {asked}")
    if (bias is not None) != spec.bias or (bias is not None and tuple(bias.shape) != (spec.out,)):
        met = "none" if bias is None else f"one of shape {tuple(bias.shape)}"
        raise ShapeError(
            f"the layer has {f'a bias of shape ({spec.out},)' if spec.bias else 'no bias'}; given is {met}"
        )


def _plain_specs(module: nn.Module) -> tuple[ConvSpec, ...]:
    """What the layers of a plain `nn.Sequential` are.

    Raises:
        UnsupportedLayerError: one is something else than its neighbours, or has code of its own.
    """
    layers = [layer for layer in module._modules.values() if layer is not None]
    kinds = {type(layer) for layer in layers}
    if type(module) is not nn.Sequential or kinds not in ({nn.Conv2d}, {nn.Linear}):
        raise UnsupportedLayerError("no chain: not an nn.Sequential of only nn.Conv2d or only nn.Linear")
    if any(has_hooks(layer) for layer in (module, *layers)):
        raise UnsupportedLayerError("no chain: forward hooks hang on it")
    return tuple(_normal(read_spec(layer)) for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear))


def _normal(spec: ConvSpec) -> ConvSpec:
    """The same layer, with what has no effect written as `core.shapes.geometry` writes it."""
    alone = geometry(spec, (Stage(spec.out, spec.inp, spec.kernel, spec.groups),))
    return alone[0]


def _on_axes(pairs: list[Pair]) -> Pair:
    """Products on each axis: of values that are 1 in all stages but one."""
    return (prod(p[0] for p in pairs), prod(p[1] for p in pairs))


def _padding(specs: tuple[ConvSpec, ...]) -> Pair | str:
    """The padding of all stages together."""
    pairs = [s.padding for s in specs if not isinstance(s.padding, str)]
    if len(pairs) < len(specs):
        return "same"
    return (sum(p[0] for p in pairs), sum(p[1] for p in pairs))
