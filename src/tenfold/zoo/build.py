"""Networks by name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from tenfold.core.errors import TenfoldError, UnknownNameError, nearest
from tenfold.zoo.cifar_resnet import CifarResNet
from tenfold.zoo.small import SmallCnn
from tenfold.zoo.vgg import Vgg16Bn

__all__ = ["architectures", "build"]

_OWN: Mapping[str, Callable[..., nn.Module]] = {
    **{f"resnet{depth}": partial(CifarResNet, depth) for depth in (20, 32, 44, 56, 110)},
    "small": SmallCnn,
    "vgg16-bn": Vgg16Bn,
}

_CLASSES = ("classes", "num_classes", "n_classes")
_CHANNELS = ("channels", "in_channels", "in_chans")


def architectures() -> tuple[str, ...]:
    """The networks tenfold brings along, by name.

    Example:
        >>> architectures()
        ('resnet110', 'resnet20', 'resnet32', 'resnet44', 'resnet56', 'small', 'vgg16-bn')
    """
    return tuple(sorted(_OWN))


def build(arch: str, *, classes: int, channels: int = 3) -> nn.Module:
    """Build a network with random weights (from torch's global generator), in training mode, on the CPU.

    Args:
        arch: one of `architectures`; ``torchvision:NAME`` or ``timm:NAME`` where those are installed; or
            ``package.module:factory`` for a function or class of the user's own, importable from the
            current folder too. It is called with the number of classes if its signature names
            `classes` (`num_classes`, `n_classes`), and with the number of channels if it names `channels`
            (`in_channels`, `in_chans`).
        classes: number of outputs, at least 1.
        channels: of the images, at least 1.

    Returns:
        The network. The user's own factory is trusted to heed `classes` and `channels`.

    Raises:
        UnknownNameError: there is no network, module or factory of that name.
        TenfoldError: a package is not installed, the user's module cannot be imported, or its factory
            gives no `torch.nn.Module`.

    Example:
        >>> type(build("resnet20", classes=10)).__name__
        'CifarResNet'
    """
    if classes < 1 or channels < 1:
        raise TenfoldError(f"{arch}: {classes} classes, {channels} channels; both must be at least 1")
    origin, colon, name = arch.partition(":")
    if not colon:
        if arch not in _OWN:
            raise UnknownNameError("architecture", arch, _OWN)
        return _OWN[arch](classes=classes, channels=channels)
    if origin == "torchvision":
        return _torchvision(arch, name, classes, channels)
    if origin == "timm":
        return _timm(arch, name, classes, channels)
    return _own_factory(arch, origin, name, classes, channels)


def _torchvision(arch: str, name: str, classes: int, channels: int) -> nn.Module:
    """A network of torchvision's, which all take RGB."""
    models = _vision_package(arch, "torchvision.models")
    known = models.list_models(models)  # the classifiers alone, not the detectors of its subpackages
    if name not in known:
        raise UnknownNameError("torchvision model", name, known)
    if channels != 3:
        raise TenfoldError(f"{arch}: takes RGB, not {channels} channel(s); read the images with channels=3")
    return _checked(arch, models.get_model(name, weights=None, num_classes=classes))


def _timm(arch: str, name: str, classes: int, channels: int) -> nn.Module:
    """A network of timm's, without its pretrained weights."""
    timm = _vision_package(arch, "timm")
    known = timm.list_models()
    if name not in known:
        raise UnknownNameError("timm model", name, known)
    return _checked(arch, timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels))


def _vision_package(arch: str, name: str) -> Any:
    """Import torchvision or timm, only now, since few users need them."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
        raise TenfoldError(
            f"{arch}: {name.partition('.')[0]} cannot be imported ({error}); "
            "pip install 'tenfold[vision]', in the build that goes with your torch"
        ) from None


def _own_factory(arch: str, module_name: str, name: str, classes: int, channels: int) -> nn.Module:
    """The network that the user's own factory makes."""
    with _current_folder_importable():
        module = _import_own(arch, module_name)
        factory = getattr(module, name, None)
        if factory is None:
            public = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
            raise UnknownNameError(f"factory in {module_name}", name, public)
        if not callable(factory) or isinstance(factory, nn.Module):
            raise TenfoldError(
                f"{arch}: is a {type(factory).__name__}; give a function that builds the network"
            )
        return _checked(arch, factory(**_arguments(arch, factory, classes, channels)))


def _import_own(arch: str, module_name: str) -> ModuleType:
    """Import the user's module, telling a wrong name from a broken module."""
    if module_name.endswith(".py") or "/" in module_name or not module_name:
        raise TenfoldError(f"{arch}: write package.module:factory, with dots and without .py")
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise TenfoldError(
                f"{arch}: no module {error.name!r} in {Path.cwd()} or among the installed packages; "
                f"networks of tenfold's own go without a colon: {nearest(module_name, _OWN)}"
            ) from None
        raise TenfoldError(
            f"{arch}: importing {module_name} failed: {error}; install what it needs"
        ) from error
    except ImportError as error:
        raise TenfoldError(f"{arch}: importing {module_name} failed: {error}; repair the module") from error


def _arguments(arch: str, factory: Callable[..., Any], classes: int, channels: int) -> dict[str, int]:
    """What the signature of `factory` asks for, of the two numbers we have."""
    try:
        signature = inspect.signature(factory)
    except ValueError:  # a builtin does not tell
        return {}
    by_keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {key for key, parameter in signature.parameters.items() if parameter.kind in by_keyword}
    wanted = ((_CLASSES, classes), (_CHANNELS, channels))
    arguments = {key: value for keys, value in wanted for key in keys if key in names}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise TenfoldError(
            f"{arch}: cannot be called with {arguments or 'nothing'} ({error}); "
            "give a factory whose only required arguments are classes and channels"
        ) from None
    return arguments


def _checked(arch: str, network: object) -> nn.Module:
    """`network`, if it is one."""
    if not isinstance(network, nn.Module):
        raise TenfoldError(
            f"{arch}: gave a {type(network).__name__}; a factory must return a torch.nn.Module"
        )
    return network


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """Put the current folder first on the import path, as ``python -m`` does, and take it away again."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
