"""The second exact form of a factorised layer: one dense layer whose kernel is rebuilt from the factors.

A chain with many tiny groups trains slowly although its MACs are few. Rebuilding the kernel once a step and
convolving with it gives the same output and the same gradients of the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.algebra.chain import chain_kernel
from tenfold.core.shapes import ConvSpec, Stage
from tenfold.layers.chain import chain_spec, chain_weights, is_chain
from tenfold.layers.mode import in_mode
from tenfold.layers.surgery import replace_

__all__ = ["Rebuilt", "chains", "convolution_chains", "faster_rebuilt", "rebuilt"]


class Rebuilt(nn.Module):
    """A chain, computed as the one layer it stands for.

    Holds the chain itself, so parameters, their names below it and the optimiser's state stay the same
    objects.
    """

    def __init__(self, chain: nn.Sequential) -> None:
        """Take over `chain`, made by `tenfold.layers.chain.build_chain`."""
        super().__init__()
        self.chain = chain
        self.spec: ConvSpec
        self.stages: tuple[Stage, ...]
        self.spec, self.stages = chain_spec(chain)

    def forward(self, input: Tensor) -> Tensor:
        """What the chain gives for (n, channels, height, width), or (..., features) if it is linear."""
        last: nn.Conv2d | nn.Linear = self.chain[-1]  # type: ignore[assignment]
        spec = self.spec
        # The product of the factors loses too much in bfloat16; the convolution itself may run in it.
        with torch.autocast(input.device.type, enabled=False):
            kernel = chain_kernel(self.stages, chain_weights(self.chain))
        if spec.linear:
            return functional.linear(input, kernel[:, :, 0, 0], last.bias)
        padding: tuple[int, int] | str = spec.padding
        if spec.padding_mode != "zeros" and not isinstance(padding, str):
            vertical, horizontal = padding
            input = functional.pad(
                input, (horizontal, horizontal, vertical, vertical), mode=spec.padding_mode
            )
            padding = (0, 0)
        return functional.conv2d(
            input, kernel, last.bias, spec.stride, padding, dilation=spec.dilation, groups=spec.groups
        )


def chains(model: nn.Module) -> dict[str, nn.Sequential]:
    """The chains in a network, by qualified name."""
    found = ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Sequential))
    return {name: module for name, module in found if name and is_chain(module) and _can_rebuild(module)}


def convolution_chains(model: nn.Module) -> dict[str, nn.Sequential]:
    """The chains that the rebuilt form may speed up.

    Not the linear ones: without groups nothing but MACs counts, and a layer's own are more than its chain's.
    """
    return {name: chain for name, chain in chains(model).items() if not chain_spec(chain)[0].linear}


def _can_rebuild(chain: nn.Sequential) -> bool:
    """Whether one functional call does it: not for "same" padding in a padding mode other than zeros."""
    spec, _ = chain_spec(chain)
    return not (isinstance(spec.padding, str) and spec.padding_mode != "zeros")


@contextmanager
def rebuilt(model: nn.Module, names: Iterable[str]) -> Iterator[nn.Module]:
    """Hold the chains `names` of `model` in the rebuilt form; afterwards they are chains again."""
    swapped: dict[str, nn.Sequential] = {}
    every = chains(model)
    try:
        for name in names:
            replace_(model, name, Rebuilt(every[name]))
            swapped[name] = every[name]
        yield model
    finally:
        for name, chain in swapped.items():
            replace_(model, name, chain)


def faster_rebuilt(
    model: nn.Module, images: Tensor, *, repetitions: int = 2, bfloat16: bool = False
) -> list[str]:
    """The chains that compute a training step faster in the rebuilt form, of `convolution_chains`.

    Each is timed alone, forward and backward, on what it is given when the network sees `images`.
    Chains of equal shape are timed once.

    Args:
        model: the network, its chains in place; left as it was.
        images: a batch such as it is trained on; 32 images tell enough.
        repetitions: timed passes of each form, after one that warms up; the fastest counts.
        bfloat16: whether the passes run under autocast to bfloat16.

    Returns:
        Names of the chains to rebuild.
    """
    every = convolution_chains(model)
    known: dict[object, bool] = {}
    faster = []
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bfloat16):
        for name, given in _inputs(model, every, images).items():
            shape = (chain_spec(every[name]), given.shape)
            if shape not in known:
                as_chain = _seconds(every[name], given, repetitions)
                known[shape] = _seconds(Rebuilt(every[name]), given, repetitions) < as_chain
            if known[shape]:
                faster.append(name)
    return faster


def _inputs(model: nn.Module, every: dict[str, nn.Sequential], images: Tensor) -> dict[str, Tensor]:
    """What each chain is given, in its first call."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor]], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
            seen.setdefault(name, (args[0] if args else kwargs["input"]).detach())

        return hook

    handles = [chain.register_forward_pre_hook(note(name), with_kwargs=True) for name, chain in every.items()]
    try:
        with torch.no_grad(), in_mode(model, training=False):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _seconds(layer: nn.Module, given: Tensor, repetitions: int) -> float:
    """Least time of one forward and backward pass."""
    wanted = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    best = float("inf")
    for repetition in range(repetitions + 1):
        leaf = given.clone().requires_grad_()
        begin = perf_counter()
        torch.autograd.grad(layer(leaf).float().sum(), [leaf, *wanted])
        if repetition > 0:
            best = min(best, perf_counter() - begin)
    return best
