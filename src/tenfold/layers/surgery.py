"""Replacing layers in place, by qualified name, without breaking what is shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from torch import nn

from tenfold.core.errors import PlanError, UnsupportedLayerError, nearest

__all__ = ["keep_reasons", "replace_", "shared_names"]


def replace_(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of layer `name`, in place.

    A layer that stands in several places (one module object under several names) is replaced in all
    of them by the same `module`, so it stays shared. `module` takes over the training flag.

    Args:
        model: the network, changed.
        name: any of the layer's qualified names, as in `model.named_modules()`.
        module: what replaces it.

    Raises:
        PlanError: no layer has that name.
        UnsupportedLayerError: `name` is "": the network itself cannot be replaced within itself.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> replace_(net, "0", nn.Identity())
        >>> net
        Sequential(
          (0): Identity()
          (1): ReLU()
        )
    """
    if not name:
        kind = type(model).__name__
        raise UnsupportedLayerError(
            f"the network is itself one layer ({kind}), not replaceable in place: wrap it in nn.Sequential"
        )
    places = dict(model.named_modules(remove_duplicate=False))
    if name not in places:
        raise PlanError(f"no layer {name!r} in this network; {nearest(name, list(places)[1:])}")
    old = places[name]
    module.train(old.training)
    for alias in [other for other, held in places.items() if held is old]:
        parent, _, leaf = alias.rpartition(".")
        places[parent]._modules[leaf] = module


def shared_names(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """The modules that stand under several names: first name -> the others, in network order.

    Example:
        >>> relu = nn.ReLU()
        >>> shared_names(nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu))
        {'1': ('3',)}
    """
    names: dict[nn.Module, list[str]] = defaultdict(list)
    for name, module in model.named_modules(remove_duplicate=False):
        names[module].append(name)
    return {first: tuple(others) for first, *others in names.values() if others}


def keep_reasons(model: nn.Module) -> dict[str, str]:
    """Layers that may not be replaced because of what else refers to them: first name -> reason.

    Two cases: a parameter that another module object owns as well (tied weights: replacing one of them
    would grow the network), and a module that a plain Python attribute holds (the network would go on
    calling the old one from there).

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        >>> net[1].weight = net[0].weight
        >>> keep_reasons(net)
        {'0': 'its weight is tied to 1.weight', '1': 'its weight is tied to 0.weight'}
    """
    names = {module: name for name, module in model.named_modules()}
    return {names[module]: reason for module, reason in (*_held(names), *_tied(names)) if names[module]}


def _tied(names: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, str]]:
    """The modules that own a parameter together with another module."""
    owners: dict[int, list[tuple[nn.Module, str]]] = defaultdict(list)
    for module in names:
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            owners[id(parameter)].append((module, key))
    for module in names:
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            others = [f"{names[m]}.{k}".lstrip(".") for m, k in owners[id(parameter)] if m is not module]
            if others:
                yield module, f"its {key} is tied to {', '.join(others)}"


def _held(names: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, str]]:
    """The modules that stand in a plain attribute, or in a list, tuple or dictionary that is one."""
    for holder, name in names.items():
        for key, value in vars(holder).items():
            if key in ("_modules", "_parameters", "_buffers"):
                continue
            values = list(value.values()) if isinstance(value, dict) else value
            for item in values if isinstance(values, list | tuple) else (values,):
                if isinstance(item, nn.Module) and item in names:
                    yield item, f"the plain attribute {f'{name}.{key}'.lstrip('.')} holds it as well"
