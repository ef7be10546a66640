"""Networks that detect and segment: several outputs, skips, transposed convolutions, a shared head."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odd_layers import seeded
from tenfold.compression.oneshot import decompose_model
from tenfold.core.names import FileFormat
from tenfold.core.plan import Budget, Choice, Plan
from tenfold.core.shapes import params
from tenfold.data.dataset import Dataset, Preprocessing, Splits
from tenfold.deploy.forms import EXTENSIONS, export_form, fresh_parity
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.verify import parity
from tenfold.layers.answers import tensors
from tenfold.layers.census import census
from tenfold.layers.chain import is_chain
from tenfold.options import Options
from tenfold.pipeline import compress
from tenfold.runs.saved import load, save_model
from tenfold.schemes.registry import get_scheme
from tenfold.train.recover import Recovery

SHAPE = (3, 32, 32)
IMAGES = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))


def conv(inp: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inp, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class Pyramid(nn.Module):
    """A detector: three levels, added from the top down, and one head for all, in a dictionary of tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([conv(3, 16, 2), conv(16, 24, 2), conv(24, 32, 2)])
        self.lateral = nn.ModuleList([nn.Conv2d(width, 16, 1) for width in (16, 24, 32)])
        self.tower = nn.Sequential(conv(16, 16), conv(16, 16))
        self.classes = nn.Conv2d(16, 5, 3, padding=1)
        self.boxes = nn.Conv2d(16, 4, 3, padding=1)
        self.smooth = nn.ModuleList([nn.Conv2d(16, 16, 3, padding=1)])
        self.smooth += [self.smooth[0], self.smooth[0]]

    def forward(self, image: Tensor) -> dict[str, tuple[Tensor, ...] | Tensor]:
        levels = []
        for stage in self.stages:
            image = stage(image)
            levels.append(image)
        merged = [self.lateral[2](levels[2])]
        for level in (1, 0):
            size = levels[level].shape[-2:]
            above = F.interpolate(merged[0], size=size, mode="nearest")
            merged.insert(0, self.lateral[level](levels[level]) + above)
        towers = [self.tower(smooth(x)) for smooth, x in zip(self.smooth, merged, strict=True)]
        classes, boxes = ([head(x) for x in towers] for head in (self.classes, self.boxes))
        scores = torch.cat([x.flatten(2) for x in classes], dim=2).amax(2)
        return {"classes": tuple(classes), "boxes": tuple(boxes), "scores": scores}


class UNet(nn.Module):
    """A segmenter: down, up by transposed convolutions, skips; the mask and one beside it, in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([conv(3, 16), conv(16, 32), conv(32, 48)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(48, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)])
        self.merge = nn.ModuleList([conv(64, 32), conv(32, 16)])
        self.mask = nn.Conv2d(16, 4, 1)
        self.beside = nn.Conv2d(32, 4, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        first = self.down[0](image)
        second = self.down[1](F.max_pool2d(first, 2))
        x = self.down[2](F.max_pool2d(second, 2))
        middle = self.merge[0](torch.cat([self.up[0](x), second], dim=1))
        last = self.merge[1](torch.cat([self.up[1](middle), first], dim=1))
        beside = F.interpolate(self.beside(middle), scale_factor=2.0, mode="bilinear")
        return self.mask(last), {"beside": beside}


NETWORKS = [Pyramid, UNet]


def plan_of(net: nn.Module, scheme: str, *ranks: int) -> Plan:
    """The scheme at these ranks, or the largest below them, wherever that saves numbers."""
    found, plan = get_scheme(scheme), {}
    for layer in census(net, IMAGES).factorisable:
        rank = found.clip(layer.spec.group, ranks)
        fewer = params(found.layout(layer.spec.group, rank), bias=layer.spec.bias) < layer.params
        plan[layer.name] = Choice(scheme, rank) if fewer else None
    return Plan(plan)


def full_rank(net: nn.Module) -> Plan:
    """Chains that are exact, everywhere."""
    svd, layers = get_scheme("svd"), census(net, IMAGES).factorisable
    return Plan({layer.name: Choice("svd", svd.clip(layer.spec.group, (1000,))) for layer in layers})


def structure(answer: object) -> object:
    """Types, keys and shapes, all the way down."""
    match answer:
        case Tensor():
            return tuple(answer.shape), answer.dtype
        case dict():
            return {key: structure(part) for key, part in answer.items()}
        case tuple() | list():
            return type(answer), [structure(part) for part in answer]
    raise AssertionError(answer)


def answer_of(net: nn.Module) -> object:
    with torch.no_grad():
        return net(IMAGES)


def flat(answer: object) -> list[Tensor]:
    return list(tensors(answer))


def same(one: object, other: object) -> bool:
    return all(torch.equal(*pair) for pair in zip(flat(one), flat(other), strict=True))


def numbers(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("make", NETWORKS)
def test_the_interface_stays_and_the_numbers_go_down(make: type[nn.Module]) -> None:
    net = seeded(make).eval()
    plan = plan_of(net, "btd", 2, 6, 6)
    made = decompose_model(net, plan, IMAGES)
    assert structure(answer_of(made)) == structure(answer_of(net))
    saved = 0
    for name, choice in plan.items():
        layer, new = net.get_submodule(name), made.get_submodule(name)
        assert is_chain(new) == (choice is not None)
        saved += numbers(layer) - numbers(new)
    assert numbers(net) - numbers(made) == saved > 0.4 * numbers(net)


@pytest.mark.parametrize("make", NETWORKS)
def test_at_full_rank_every_output_is_what_it_was(make: type[nn.Module]) -> None:
    net = seeded(make).eval()
    made = decompose_model(net, full_rank(net), IMAGES).double()
    with torch.no_grad():
        pairs = zip(flat(net.double()(IMAGES.double())), flat(made(IMAGES.double())), strict=True)
    for one, other in pairs:
        # Factors are rounded to float32, once a layer, in a dozen layers.
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert not torch.equal(one, other)


def test_what_is_shared_stays_shared() -> None:
    net = seeded(Pyramid).eval()
    made = decompose_model(net, plan_of(net, "btd", 2, 6, 6), IMAGES)
    assert is_chain(made.smooth[0])
    assert made.smooth[0] is made.smooth[1] is made.smooth[2]
    calls = []
    assert is_chain(made.tower[0][0])
    made.tower[0][0].register_forward_hook(lambda *_: calls.append("tower"))
    answer_of(made)
    assert calls == ["tower"] * 3


def test_transposed_convolutions_are_kept_and_said() -> None:
    net = seeded(UNet).eval()
    made = decompose_model(net, plan_of(net, "btd", 2, 6, 6), IMAGES)
    kept = {layer.name: layer.reason for layer in census(net, IMAGES).layers if layer.reason}
    reason = "kept: not a 2d convolution (ConvTranspose2d)"
    assert kept == {"up.0": reason, "up.1": reason}
    for name in kept:
        assert torch.equal(made.get_submodule(name).weight, net.get_submodule(name).weight)


@pytest.mark.parametrize("make", NETWORKS)
def test_state_dict_and_folder_load_again(make: type[nn.Module], tmp_path: Path) -> None:
    net = seeded(make).eval()
    plan = plan_of(net, "btd", 2, 6, 6)
    made = decompose_model(net, plan, IMAGES)
    other = decompose_model(seeded(make, seed=1).eval(), plan, IMAGES)
    assert not same(answer_of(other), answer_of(made))
    other.load_state_dict(made.state_dict())
    assert same(answer_of(other), answer_of(made))
    save_model(made, tmp_path, metadata={})
    again = load(tmp_path)
    assert same(answer_of(again), answer_of(made))
    assert structure(answer_of(again)) == structure(answer_of(made))
    assert numbers(again) == numbers(made)


@pytest.mark.parametrize(("make", "outputs"), [pytest.param(Pyramid, 7, marks=pytest.mark.slow), (UNet, 2)])
def test_all_outputs_leave_as_onnx(make: type[nn.Module], outputs: int, tmp_path: Path) -> None:
    net = seeded(make).eval()
    made = decompose_model(net, plan_of(net, "btd", 2, 6, 6), IMAGES)
    path = export_onnx(made, tmp_path / "model.onnx", SHAPE)
    names = [value.name for value in onnx.load(path).graph.output]
    assert names == [f"output_{number}" for number in range(outputs)]
    assert parity(made, path, IMAGES) < 1e-5  # float32 of answers of the order of 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pt2", "safetensors"])
@pytest.mark.parametrize("make", NETWORKS)
def test_all_outputs_leave_in_other_forms(make: type[nn.Module], form: FileFormat, tmp_path: Path) -> None:
    net = seeded(make).eval()
    made = decompose_model(net, plan_of(net, "btd", 2, 6, 6), IMAGES)
    path = export_form(made, tmp_path / f"model{EXTENSIONS[form]}", SHAPE, form)
    assert fresh_parity(made, path, IMAGES, form) == 0


class Counting(nn.Module):
    """A small network that notes how many images it is given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 5, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3)
        )
        self.head = nn.Linear(12, 2)
        self.sizes: list[int] = []

    def forward(self, image: Tensor) -> Tensor:
        self.sizes.append(len(image))
        return self.head(torch.relu(self.net(image)).mean((2, 3)))

    def __deepcopy__(self, memo: dict[int, object]) -> Counting:
        twin = Counting()
        twin.net, twin.head = copy.deepcopy(self.net, memo), copy.deepcopy(self.head, memo)
        twin.sizes = self.sizes
        return twin


def test_large_images_are_looked_at_a_few_at_a_time() -> None:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(256, (50, 3, 128, 192), generator=source, dtype=torch.uint8)
    photos = Dataset(images, torch.arange(50) % 2, ("a", "b"))
    net = seeded(Counting)
    options = Options(calibration=40, recovery=Recovery(steps=0), workers=1)
    data = Splits(photos, photos, Preprocessing((0.5,) * 3, (0.25,) * 3))
    compress(net, data, budget=Budget(params=0.8), scheme="svd", options=options)
    # Six times the pixels of 64x64: 125 and 100 become 20 and 16.
    assert set(net.sizes) >= {20, 16}
    assert max(net.sizes) == 20
