from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from tenfold.core.errors import TenfoldError, UnknownNameError
from tenfold.zoo.build import architectures, build
from tenfold.zoo.cifar_resnet import CifarResNet


@pytest.mark.parametrize("arch", architectures())
def test_every_architecture_heeds_classes_and_channels(arch):
    net = build(arch, classes=3, channels=1).eval()
    with torch.inference_mode():
        assert net(torch.randn(1, 1, 32, 32)).shape == (1, 3)


def test_depths_are_not_mixed_up():
    assert len(build("resnet44", classes=10).get_submodule("layer1")) == 7
    assert isinstance(build("resnet110", classes=10), CifarResNet)


def test_an_unknown_name_says_what_is_near():
    with pytest.raises(UnknownNameError, match=r"no architecture 'resnet21'; the nearest are .*resnet20"):
        build("resnet21", classes=10)


@pytest.mark.parametrize(("classes", "channels"), [(0, 3), (10, 0), (-1, 3)])
def test_no_classes_or_channels_are_refused(classes, channels):
    with pytest.raises(TenfoldError, match="at least 1"):
        build("small", classes=classes, channels=channels)


# ---- the user's own factory

MODULE = """
from torch import nn

def plain():
    return nn.Linear(1, 1)

def both(classes, channels=7):
    return nn.Linear(channels, classes)

def spelled(*, num_classes, in_chans):
    return nn.Linear(in_chans, num_classes)

def late(classes):
    import {name}_inner
    return {name}_inner.net(classes)

def greedy(width):
    return nn.Linear(width, width)

def wrong():
    return "a network"

class Net(nn.Linear):
    def __init__(self, n_classes):
        super().__init__(2, n_classes)

built = nn.Linear(1, 1)
number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch, request) -> str:
    """The name of a module in the current folder."""
    name = f"own_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(name=name))
    (tmp_path / f"{name}_inner.py").write_text("from torch import nn\nnet = lambda n: nn.Linear(5, n)\n")
    monkeypatch.chdir(tmp_path)
    yield name
    for loaded in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[loaded]


@pytest.mark.parametrize(
    ("factory", "shape"),
    [("plain", (1, 1)), ("both", (4, 2)), ("spelled", (4, 2)), ("late", (4, 5)), ("Net", (4, 2))],
)
def test_a_factory_gets_what_its_signature_names(own, factory, shape):
    net = build(f"{own}:{factory}", classes=4, channels=2)
    assert net.weight.shape == shape


def test_the_import_path_is_left_as_it_was(own):
    before = list(sys.path)
    build(f"{own}:both", classes=4)
    with pytest.raises(TenfoldError):
        build(f"{own}:wrong", classes=4)
    assert sys.path == before


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("wrong", "gave a str; a factory must return a torch.nn.Module"),
        ("built", "is a Linear; give a function"),
        ("number", "is a int; give a function"),
        ("greedy", "cannot be called with nothing .*'width'"),
        ("plian", "no factory in own_.* 'plian'; the nearest is plain"),
    ],
)
def test_a_factory_that_gives_no_network_is_refused(own, factory, message):
    with pytest.raises(TenfoldError, match=message):
        build(f"{own}:{factory}", classes=4)


@pytest.mark.parametrize("module", ["no_such_module", "no_such.module", "torch.no_such"])
def test_a_missing_module_is_named(module):
    with pytest.raises(
        TenfoldError, match=f"{module}:net: no module 'no_such|{module}:net: no module 'torch.no"
    ):
        build(f"{module}:net", classes=4)


@pytest.mark.parametrize("module", ["net.py", "models/net", ""])
def test_a_path_instead_of_a_module_is_refused(module):
    with pytest.raises(TenfoldError, match=r"write package\.module:factory"):
        build(f"{module}:net", classes=4)


@pytest.mark.parametrize("line", ["import no_such_dependency", "from torch import no_such_thing"])
def test_a_module_that_cannot_be_imported_tells_why(own, line):
    Path(f"{own}_inner.py").write_text(line)
    with pytest.raises(TenfoldError, match=f"importing {own}_inner failed: .*no_such"):
        build(f"{own}_inner:net", classes=4)


def test_an_error_in_the_users_code_keeps_its_traceback(own):
    Path(f"{own}_inner.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        build(f"{own}_inner:net", classes=4)


# ---- torchvision and timm, played by stand-ins that note what they were asked


class Asked(nn.Module):
    def __init__(self, **options: object) -> None:
        super().__init__()
        self.options = options


@pytest.fixture
def vision(monkeypatch) -> None:
    models = types.ModuleType("torchvision.models")
    models.list_models = lambda module: ["resnet18", "resnet50"] if module is models else ["detector"]
    models.get_model = lambda name, **options: Asked(name=name, **options)
    torchvision = types.ModuleType("torchvision")
    torchvision.models = models
    timm = types.ModuleType("timm")
    timm.list_models = lambda: ["convnext"]
    timm.create_model = lambda name, **options: Asked(name=name, **options)
    for module in (torchvision, models, timm):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("vision")
def test_torchvision_is_asked_for_random_weights_and_these_classes():
    net = build("torchvision:resnet50", classes=7)
    assert net.options == {"name": "resnet50", "weights": None, "num_classes": 7}
    with pytest.raises(TenfoldError, match="takes RGB, not 1"):
        build("torchvision:resnet50", classes=7, channels=1)
    with pytest.raises(UnknownNameError, match="no torchvision model 'resnet5'; the nearest are resnet50"):
        build("torchvision:resnet5", classes=7)


@pytest.mark.usefixtures("vision")
def test_timm_is_asked_for_random_weights_these_classes_and_channels():
    net = build("timm:convnext", classes=7, channels=1)
    assert net.options == {"name": "convnext", "pretrained": False, "num_classes": 7, "in_chans": 1}
    with pytest.raises(UnknownNameError, match="no timm model 'convnxt'; the nearest is convnext"):
        build("timm:convnxt", classes=7)


@pytest.mark.parametrize("arch", ["torchvision:resnet50", "timm:resnet50"])
def test_without_the_package_the_message_says_how_to_install_it(monkeypatch, arch):
    package = arch.partition(":")[0]
    for name in (package, f"{package}.models"):
        monkeypatch.setitem(sys.modules, name, None)  # what makes an import fail
    with pytest.raises(
        TenfoldError, match=rf"{package} cannot be imported .*pip install 'tenfold\[vision\]'"
    ):
        build(arch, classes=10)
