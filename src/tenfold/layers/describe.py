"""From a `torch.nn` layer to its integers, or the reason why it is kept as it is."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from tenfold.core.errors import UnsupportedLayerError
from tenfold.core.shapes import ConvSpec, Pair

__all__ = ["CONVOLUTIONS", "describe", "has_hooks", "read_spec"]

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
"""Every kind of convolution torch has; only the 2d one is factorised."""


def describe(module: nn.Module) -> ConvSpec:
    """The integers of a layer that can be factorised.

    Args:
        module: an `nn.Conv2d` or `nn.Linear`, of any floating dtype, on any device.

    Returns:
        What `core.shapes` needs to know; padding "valid" reads as (0, 0), "same" stays.

    Raises:
        UnsupportedLayerError: the layer has to be kept; the message is the reason. That is so for
            other convolutions, depthwise ones, layers with code of their own, weights that are computed
            (parametrised, pruned, lazy) or not floating, and layers with forward hooks.

    Example:
        >>> describe(nn.Conv2d(3, 8, (3, 1), stride=(2, 1), padding=(1, 0), bias=False))
        ... # doctest: +NORMALIZE_WHITESPACE
        ConvSpec(out=8, inp=3, kernel=(3, 1), stride=(2, 1), padding=(1, 0), dilation=(1, 1), groups=1,
                 padding_mode='zeros', bias=False, linear=False)
        >>> describe(nn.Conv1d(3, 8, 3))
        Traceback (most recent call last):
        ...
        tenfold.core.errors.UnsupportedLayerError: kept: not a 2d convolution (Conv1d)
    """
    if not isinstance(module, nn.Conv2d | nn.Linear):
        what = "a 2d convolution" if isinstance(module, CONVOLUTIONS) else "a 2d convolution or linear layer"
        raise UnsupportedLayerError(f"kept: not {what} ({type(module).__name__})")
    reason = _weight_reason(module) or _code_reason(module)
    if reason:
        raise UnsupportedLayerError(f"kept: {reason}")
    spec = read_spec(module)
    # A convolution with one input (grey images) or output channel and one group is an ordinary one.
    if spec.groups > 1 and 1 in (spec.group.inp, spec.group.out):
        raise UnsupportedLayerError(
            f"kept: depthwise ({spec.groups} groups of {spec.shape[1]} input channels)"
        )
    return spec


def read_spec(module: nn.Conv2d | nn.Linear) -> ConvSpec:
    """The integers of any `nn.Conv2d` or `nn.Linear`, whether it can be factorised or not.

    Example:
        >>> read_spec(nn.Linear(64, 10)).shape
        (10, 64, 1, 1)
    """
    if isinstance(module, nn.Linear):
        return ConvSpec(module.out_features, module.in_features, bias=module.bias is not None, linear=True)
    padding = (0, 0) if module.padding == "valid" else module.padding
    return ConvSpec(
        out=module.out_channels,
        inp=module.in_channels,
        kernel=_pair(module.kernel_size),
        stride=_pair(module.stride),
        padding=padding if isinstance(padding, str) else _pair(padding),
        dilation=_pair(module.dilation),
        groups=module.groups,
        padding_mode=module.padding_mode,
        bias=module.bias is not None,
    )


def has_hooks(module: nn.Module) -> bool:
    """Whether calling the module runs Python code that hangs on it rather than in it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _pair(values: tuple[int, ...]) -> Pair:
    """(vertical, horizontal), from torch's looser type."""
    vertical, horizontal = values
    return (int(vertical), int(horizontal))


def _code_reason(module: nn.Conv2d | nn.Linear) -> str:
    """Why the module's code cannot be replaced by plain layers; empty if it can."""
    if parametrize.is_parametrized(module):
        return f"its {', '.join(module.parametrizations)} is parametrised"  # type: ignore[arg-type]
    if isinstance(module, NonDynamicallyQuantizableLinear):
        return "attention reads its weight and never calls it"
    base = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Linear
    for name in ("forward", "_conv_forward", "__call__"):
        changed = getattr(type(module), name, None) is not getattr(base, name, None)
        if changed or name in vars(module):
            return f"{type(module).__name__} has a forward of its own"
    if "weight" not in module._parameters:
        return "its weight is computed (weight norm, spectral norm or pruning)"
    return "it has forward hooks" if has_hooks(module) else ""


def _weight_reason(module: nn.Conv2d | nn.Linear) -> str:
    """Why the weight cannot be factorised; empty if it can."""
    if is_lazy(module.weight):
        return "its weight is not initialised yet (lazy layer): run one batch through the network first"
    if not module.weight.is_floating_point():
        return f"its weight is {module.weight.dtype}, not floating"
    if module.weight.numel() == 0:
        return "its weight is empty"
    return ""
