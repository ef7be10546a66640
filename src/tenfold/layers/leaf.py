"""One `torch.nn` layer as its class name and constructor arguments, and back."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from tenfold.core.errors import RunError, UnsupportedLayerError
from tenfold.layers.codec import decode, encode
from tenfold.layers.describe import has_hooks

__all__ = ["LEAVES", "build_leaf", "describe_leaf", "is_leaf"]

_NAMES = """
    Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Linear Bilinear Embedding
    BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d
    GroupNorm LayerNorm RMSNorm LocalResponseNorm
    CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish
    PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign
    Tanh Tanhshrink Threshold
    AvgPool1d AvgPool2d AvgPool3d MaxPool1d MaxPool2d MaxPool3d LPPool1d LPPool2d LPPool3d
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d
    AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d
    Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout
    ConstantPad1d ConstantPad2d ConstantPad3d ZeroPad1d ZeroPad2d ZeroPad3d
    CircularPad1d CircularPad2d CircularPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d
    ReplicationPad1d ReplicationPad2d ReplicationPad3d
    Identity Flatten Unflatten Fold Unfold PixelShuffle PixelUnshuffle ChannelShuffle CosineSimilarity
    Upsample UpsamplingNearest2d UpsamplingBilinear2d
"""

LEAVES: dict[str, type[nn.Module]] = {name: getattr(nn, name) for name in _NAMES.split()}
"""The layers of `torch.nn` that can be saved without code, by name."""


def is_leaf(module: nn.Module) -> bool:
    """Whether the module is exactly one of `LEAVES`, not a subclass."""
    return LEAVES.get(type(module).__name__) is type(module)


def describe_leaf(module: nn.Module) -> dict[str, Any]:
    """Class name, constructor arguments and dtype of a layer.

    The arguments are read from the attributes that torch's constructors keep under the same names;
    that the layer built from them is the same one is checked at once.

    Raises:
        UnsupportedLayerError: it is none of `LEAVES`, or it was changed after it was made.

    Example:
        >>> describe_leaf(nn.Linear(3, 2))
        {'class': 'Linear', 'args': {'in_features': 3, 'out_features': 2, 'bias': True}, 'dtype': 'float32'}
    """
    kind = type(module).__name__
    if not is_leaf(module):
        raise UnsupportedLayerError(
            f"{kind} is none of torch.nn's layers that can be saved without their code"
        )
    entry: dict[str, Any] = {"class": kind, "args": {k: encode(v) for k, v in _arguments(module).items()}}
    dtypes = {t.dtype for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()}
    if len(dtypes) > 1:
        raise UnsupportedLayerError(
            f"{kind} mixes {', '.join(sorted(map(str, dtypes)))}: bring it to one dtype"
        )
    if dtypes:
        entry["dtype"] = str(dtypes.pop()).removeprefix("torch.")
    changed = _differences(module, build_leaf(entry))
    if changed:
        raise UnsupportedLayerError(f"{kind} was changed after it was made ({', '.join(changed)})")
    return entry


def build_leaf(entry: dict[str, Any]) -> nn.Module:
    """The layer that `describe_leaf` described, on the meta device: without memory for its weights.

    Raises:
        RunError: the entry names no layer of `LEAVES`.
    """
    kind = entry["class"]
    if kind not in LEAVES:
        raise RunError(f"the saved network asks for a layer {kind!r}: refused")
    # The context makes every tensor a meta tensor, whether or not the constructor takes a device.
    with torch.device("meta"):
        module = LEAVES[kind](**{name: decode(value, {}) for name, value in entry["args"].items()})
    return module.to(decode({"dtype": entry["dtype"]}, {})) if "dtype" in entry else module


def _arguments(module: nn.Module) -> dict[str, object]:
    """Constructor arguments, from the attributes of the same names."""
    found: dict[str, object] = {}
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if not named or name in ("self", "device", "dtype") or name.startswith("_"):
            continue
        if name == "bias":
            found[name] = module.bias is not None
        elif hasattr(module, name):
            found[name] = getattr(module, name)
    return found


def _differences(module: nn.Module, twin: nn.Module) -> list[str]:
    """In what a layer differs from the one built from its description."""
    names = [name for name in vars(twin) if not name.startswith("_") and name != "training"]
    changed = [name for name in names if getattr(module, name, None) != getattr(twin, name)]
    if _tensors(module) != _tensors(twin):
        changed.append("its tensors")
    if has_hooks(module) or "forward" in vars(module):
        changed.append("code that hangs on it")
    return changed


def _tensors(module: nn.Module) -> dict[str, object]:
    """Names, shapes and dtypes of all parameters and buffers."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in named}
