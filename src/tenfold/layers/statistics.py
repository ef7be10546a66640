"""The three second moments of each layer that say what an error in its kernel costs the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.algebra.metric import MOST_CORRELATED
from tenfold.core.shapes import ConvSpec, at_a_time
from tenfold.layers.answers import tensors
from tenfold.layers.describe import describe
from tenfold.layers.mode import in_mode

__all__ = ["Moments", "moments"]

# Neighbouring pixels correlate alike all over the images: a few of each batch tell S. Each takes its numbers
# times the kernel's.
_IMAGES_FOR_OFFSETS = 16


@dataclass(frozen=True)
class Moments:
    """What one pass over unlabelled images says of a layer, in float64.

    Of more than `tenfold.algebra.metric.MOST_CORRELATED` channels, B or A is its diagonal, (out,) or (inp,).

    Attributes:
        out: B = E[sum over positions of g g^T], (out, out); g is the gradient at the layer's output of z .
            logits with z standard normal, centred over the classes: the Gauss-Newton metric of the logits.
        inp: A = E[a a^T] over images and positions, (inp, inp).
        offsets: S, (k, k) with k = kh * kw and trace k: correlation of the input between the kernel's
            offsets.
    """

    out: Tensor
    inp: Tensor
    offsets: Tensor


def moments(
    model: nn.Module, batches: Iterable[Tensor], names: Sequence[str], *, seed: int = 0
) -> dict[str, Moments]:
    """Gather `Moments` of the layers `names` by one forward-backward pass over `batches`.

    Args:
        model: left as it was; runs in evaluation mode.
        batches: preprocessed images (n, channels, height, width), on the device and in the dtype of
            the model.
        names: qualified names of convolutions and linear layers.
        seed: of the random directions z.

    Returns:
        One `Moments` a name. A layer that no gradient reaches has B = 0.

    Notes:
        One direction z an image is an unbiased estimate. The labels are not needed, and the gradient of the
        classification loss would not do: a network that fits its training set has almost none.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
        >>> found = moments(net, [torch.ones(2, 1, 8, 8)], ["0"])
        >>> found["0"].inp.tolist(), round(float(found["0"].offsets.trace()), 6)
        ([[1.0]], 9.0)
    """
    tallies = {name: _Tally(describe(model.get_submodule(name))) for name in names}
    generator = torch.Generator().manual_seed(seed)
    with ExitStack() as stack:
        stack.enter_context(in_mode(model, training=False))
        stack.enter_context(_without_parameter_gradients(model))
        for name, tally in tallies.items():
            hook = model.get_submodule(name).register_forward_hook(tally.hook(), with_kwargs=True)
            stack.callback(hook.remove)
        images = 0
        for batch in batches:
            images += len(batch)
            # A copy, which the network may change in place.
            _push_back(model(batch.clone()), generator)
    return {name: tally.moments(images) for name, tally in tallies.items()}


def _push_back(answer: object, generator: torch.Generator) -> None:
    """Send a random combination of the logits back through the network."""
    total = torch.zeros(())
    for logits in tensors(answer):
        direction = torch.randn(logits.shape, generator=generator).to(logits)
        if logits.dim() == 2:
            direction = direction - direction.mean(1, keepdim=True)
        total = total.to(logits.device) + (logits * direction).sum()
    if total.requires_grad:
        total.backward()


@contextmanager
def _without_parameter_gradients(model: nn.Module) -> Iterator[None]:
    """Only gradients of activations are needed: half the cost of a full backward pass."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_()


class _Tally:
    """Running sums of one layer; a layer that is called several times adds up its calls."""

    def __init__(self, spec: ConvSpec) -> None:
        """Start from nothing."""
        self.spec = spec
        k = spec.kernel[0] * spec.kernel[1]
        self.out, self.inp = _nothing(spec.out), _nothing(spec.inp)
        self.offsets = torch.zeros(k, k, dtype=torch.float64)
        self.positions = 0

    def hook(self) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Tensor], Tensor | None]:
        """A forward hook that gathers A and S at once and B when the gradient comes back."""

        def gather(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
        ) -> Tensor | None:
            del module
            given: Tensor = args[0] if args else kwargs["input"]
            self._add_input(given.detach())
            if output.requires_grad:
                output.register_hook(self._add_gradient)
                return None
            # All before this layer is frozen, or the network cut the gradients: they start here.
            output.requires_grad_().register_hook(self._add_gradient)
            return output.clone()

        return gather

    def moments(self, images: int) -> Moments:
        """The averages."""
        k = len(self.offsets)
        trace = self.offsets.trace()
        offsets = self.offsets * (k / trace) if trace > 0 else torch.eye(k, dtype=torch.float64)
        return Moments(self.out / max(images, 1), self.inp / max(self.positions, 1), offsets)

    def _add_input(self, given: Tensor) -> None:
        """Second moments of the input over positions, and between the kernel's offsets."""
        rows = _channels_last(given, linear=self.spec.linear)
        self.inp += _second_moment(rows)
        self.positions += len(rows)
        if len(self.offsets) > 1:
            count = at_a_time(given.shape, _IMAGES_FOR_OFFSETS)
            few = _patches(given[:count], self.spec)
            self.offsets += torch.einsum("nckl,ncml->km", few, few).double().cpu()

    def _add_gradient(self, gradient: Tensor) -> None:
        """Second moment of the gradient at the output, summed over positions."""
        rows = _channels_last(gradient.detach(), linear=self.spec.linear)
        self.out += _second_moment(rows)


def _nothing(channels: int) -> Tensor:
    """A sum of second moments, still empty: a matrix, or its diagonal where there are too many channels."""
    shape = (channels, channels) if channels <= MOST_CORRELATED else (channels,)
    return torch.zeros(shape, dtype=torch.float64)


def _second_moment(rows: Tensor) -> Tensor:
    """Sum of r r^T over the rows (positions, channels), or its diagonal."""
    if rows.shape[1] > MOST_CORRELATED:
        return rows.square().sum(0).double().cpu()
    return (rows.T @ rows).double().cpu()


def _channels_last(tensor: Tensor, *, linear: bool) -> Tensor:
    """All positions of all images as rows (positions, channels), float32."""
    moved = tensor if linear else tensor.movedim(-3, -1)
    return moved.reshape(-1, moved.shape[-1]).float()


def _patches(given: Tensor, spec: ConvSpec) -> Tensor:
    """What each offset of the kernel sees: (images, channels, k, positions), float32."""
    mode = "constant" if spec.padding_mode == "zeros" else spec.padding_mode
    padded = functional.pad(given.float(), _margins(spec), mode=mode)
    flat = functional.unfold(padded, spec.kernel, dilation=spec.dilation, stride=spec.stride)
    return flat.reshape(len(given), given.shape[1], -1, flat.shape[-1])


def _margins(spec: ConvSpec) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom); "same" puts an odd one right and below, as torch does."""
    if not isinstance(spec.padding, str):
        vertical, horizontal = spec.padding
        return (horizontal, horizontal, vertical, vertical)
    rows, columns = (d * (k - 1) for d, k in zip(spec.dilation, spec.kernel, strict=True))
    return (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
