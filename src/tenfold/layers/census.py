"""What a network consists of: layers, sizes, parameters and multiply-adds, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tenfold.core.errors import NonFiniteError, PlanError, ShapeError, UnsupportedLayerError, nearest
from tenfold.core.shapes import ConvSpec, Pair
from tenfold.layers.describe import CONVOLUTIONS, describe, read_spec
from tenfold.layers.mode import in_mode
from tenfold.layers.surgery import keep_reasons, shared_names

__all__ = ["Census", "LayerInfo", "census", "check_finite"]


@dataclass(frozen=True)
class LayerInfo:
    """One convolution (of any dimension, also transposed) or linear layer.

    Attributes:
        name: first qualified name.
        kind: class name, such as "Conv2d".
        spec: its integers; None if it is no 2d convolution or linear layer, or is lazy.
        reason: why it is kept, "kept: ..."; empty if it can be factorised.
        params: numbers in its own parameters (a tied one counts in each of its layers).
        macs: multiply-adds for one image, over all calls; bias not counted.
        sizes: (height, width) of the input, one entry a call and image: a layer that is given an image in
            four patches has four. A linear layer on n positions has (1, n). Of a 3d convolution:
            (depth * height, width). Empty if the forward pass never called the layer.
        aliases: the other names of the same module object.
    """

    name: str
    kind: str
    spec: ConvSpec | None
    reason: str
    params: int
    macs: int
    sizes: tuple[Pair, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Census:
    """A network, counted.

    Attributes:
        layers: every convolution and linear layer, in network order; a shared one once.
        params: numbers in all parameters, a shared one counted once. Buffers are not in it: the running
            statistics of a batch norm are folded into the weights before them when a network is
            deployed. ResNet-20 for CIFAR-10 (option A) has 269,722.
        macs: multiply-adds for one image of all `layers`. What the forward pass computes without a module
            (matrix products of attention, `F.conv2d` on a bare parameter) is not seen.
    """

    layers: tuple[LayerInfo, ...]
    params: int
    macs: int

    @property
    def factorisable(self) -> tuple[LayerInfo, ...]:
        """The layers without a reason to be kept."""
        return tuple(layer for layer in self.layers if not layer.reason)

    def layer(self, name: str) -> LayerInfo:
        """The layer of that name (or alias).

        Raises:
            PlanError: there is none.
        """
        for layer in self.layers:
            if name == layer.name or name in layer.aliases:
                return layer
        raise PlanError(f"no layer {name!r} in this network; {nearest(name, [x.name for x in self.layers])}")


@dataclass
class _Tally:
    """What the hooks see of one layer."""

    macs: int
    sizes: list[Pair]


def census(model: nn.Module, example: Tensor | tuple[Tensor, ...], keep: Sequence[str] = ()) -> Census:
    """Count a network by one forward pass in evaluation mode, without gradients.

    Args:
        model: any network; left as it was, every module's training flag included.
        example: what the network is called with: one tensor, or a tuple of them, batch first, on the
            device and of the dtype of the network. Only the first image of the batch is used: of the
            first tensor, and of each other tensor with as many rows as that one.
        keep: names of layers that stay as they are, or patterns of names as of files ("layer1.*").

    Returns:
        The layers and the totals, for one image.

    Raises:
        ShapeError: the network cannot take the example, or the example is empty.
        UnsupportedLayerError: a layer is lazy: the forward pass would change the network.
        PlanError: one of `keep` names no layer.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
        >>> counted = census(net, torch.zeros(2, 1, 8, 8))
        >>> counted.params, counted.macs, counted.layer("0").sizes
        (1486, 2736, ((8, 8),))
        >>> [layer.name for layer in census(net, torch.zeros(2, 1, 8, 8), keep=["2"]).factorisable]
        ['0']
    """
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if is_lazy(tensor):
            raise UnsupportedLayerError(
                f"{name} is not initialised yet: run one batch through the network first"
            )
    layers = {module: name for name, module in model.named_modules() if _counts(module)}
    tallies = {module: _Tally(0, []) for module in layers}
    inputs = _first_image(example)
    with in_mode(model, training=False), _counting(tallies), torch.no_grad():
        try:
            model(*inputs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
            raise ShapeError(
                f"the network cannot be called with an input of shape {shapes}: {error}"
            ) from error
    aliases, kept = shared_names(model), {**_asked_for(keep, layers.values()), **keep_reasons(model)}
    infos = tuple(
        _info(module, name, tally, aliases.get(name, ()), kept.get(name, ""))
        for (module, name), tally in zip(layers.items(), tallies.values(), strict=True)
    )
    return Census(infos, sum(p.numel() for p in model.parameters()), sum(info.macs for info in infos))


def check_finite(model: nn.Module) -> None:
    """Refuse a network with NaN or infinite numbers among its parameters and buffers.

    Raises:
        NonFiniteError: there is one; the message names the first tensor and says how many.

    Example:
        >>> check_finite(nn.Linear(2, 2))
    """
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        bad = 0 if is_lazy(tensor) else int((~torch.isfinite(tensor)).sum())
        if bad:
            raise NonFiniteError(
                f"{name}: {bad:,} of {tensor.numel():,} numbers are NaN or infinite: repair the checkpoint"
            )


def _asked_for(keep: Sequence[str], names: Collection[str]) -> dict[str, str]:
    """The layers that stay because somebody said so: name -> reason."""
    for pattern in keep:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise PlanError(
                f"keep {pattern!r}: no layer of this network is called so; {nearest(pattern, names)}"
            )
    return {
        name: f"asked for by keep {pattern}"
        for pattern in keep
        for name in names
        if fnmatchcase(name, pattern)
    }


def _counts(module: nn.Module) -> bool:
    """Whether the module is a layer of the census."""
    return isinstance(module, (*CONVOLUTIONS, nn.Linear))


def _first_image(example: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The example at batch 1."""
    tensors = (example,) if isinstance(example, Tensor) else tuple(example)
    if not tensors or tensors[0].dim() == 0 or len(tensors[0]) == 0:
        raise ShapeError("the example holds no image: give at least one, batch first")
    batch = len(tensors[0])
    return tuple(t[:1] if t.dim() and len(t) == batch else t for t in tensors)


@contextmanager
def _counting(tallies: dict[nn.Module, _Tally]) -> Iterator[None]:
    """Hooks on all layers, for as long as the block lasts."""
    handles = [m.register_forward_hook(_hook(t), with_kwargs=True) for m, t in tallies.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(tally: _Tally) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Tensor], None]:
    """A forward hook that adds one call to `tally`."""

    def count(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        given: Tensor = args[0] if args else kwargs["input"]
        macs, sizes = _one_call(module, given, output)
        tally.macs += macs
        tally.sizes += sizes

    return count


def _one_call(module: nn.Module, given: Tensor, output: Tensor) -> tuple[int, list[Pair]]:
    """Multiply-adds and sizes of one call."""
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features, [(1, given.numel() // max(module.in_features, 1))]
    weight: Tensor = module.weight  # type: ignore[assignment]
    axes = given.shape[2 - weight.dim() :]
    channels: int = module.in_channels  # type: ignore[assignment]
    images = given.numel() // max(channels * prod(axes), 1)
    # A transposed convolution multiplies each input number, an ordinary one makes each output number.
    transposed: bool = module.transposed  # type: ignore[assignment]
    numbers = given.numel() if transposed else output.numel()
    return numbers * prod(weight.shape[1:]), [(prod(axes[:-1]), axes[-1])] * images


def _info(module: nn.Module, name: str, tally: _Tally, aliases: tuple[str, ...], kept: str) -> LayerInfo:
    """One row of the census."""
    return LayerInfo(
        name=name,
        kind=type(module).__name__,
        spec=read_spec(module) if isinstance(module, nn.Conv2d | nn.Linear) else None,
        reason=_reason(module, name, tally, kept),
        params=sum(p.numel() for p in module.parameters()),
        macs=tally.macs,
        sizes=tuple(tally.sizes),
        aliases=aliases,
    )


def _reason(module: nn.Module, name: str, tally: _Tally, kept: str) -> str:
    """Why the layer is kept; empty if it can be factorised."""
    try:
        describe(module)
    except UnsupportedLayerError as error:
        return str(error)
    if not name:
        return "kept: the network itself is this one layer; wrap it in nn.Sequential"
    if kept:
        return f"kept: {kept}"
    if not tally.sizes:
        return "kept: the forward pass never calls it"
    weight: Tensor = module.weight  # type: ignore[assignment]
    return "" if torch.isfinite(weight).all() else "kept: NaN or infinite numbers in its weight"
