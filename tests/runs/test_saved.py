from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.core.errors import RunError
from tenfold.layers.surgery import replace_
from tenfold.runs import saved
from tenfold.runs.saved import load, save_model

SOURCE = Path(saved.__file__).parents[2]
IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
FRESH = """
import sys
import safetensors.torch
from tenfold.runs.saved import load
model = load(sys.argv[1])
images = safetensors.torch.load_file(sys.argv[2])["images"]
safetensors.torch.save_file({"logits": model(images).detach().contiguous()}, sys.argv[3])
"""


def chain() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(8, 4, 1, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False, padding_mode="reflect"),
        nn.Conv2d(4, 8, 1),
    )


class Traceable(nn.Module):
    """Everything that has to come back: statistics, unnamed buffers, a shared layer, tied weights, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.again = nn.Conv2d(8, 8, 1)
        self.tied1 = nn.Linear(8, 8)
        self.tied2 = nn.Linear(8, 8)
        self.tied2.weight = self.tied1.weight
        self.head = nn.Linear(8, 4)
        self.register_buffer("mean", torch.full((3, 1, 1), 0.25), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(image - self.mean)))
        x = functional.relu(self.again(self.conv(x)) + x)
        x = self.again(x).mean((2, 3))
        x = functional.dropout(x, 0.5, self.training)
        return self.head(self.tied2(torch.relu(self.tied1(x))))


class Untraceable(Traceable):
    """The same behind a decision that depends on the image."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image if image.sum() > -1e9 else -image)


def compressed(kind: type[Traceable]) -> Traceable:
    torch.manual_seed(0)
    model = kind()
    replace_(model, "conv", chain())
    for tensor in (
        model.norm.weight.data,
        model.norm.bias.data,
        model.norm.running_mean,
        model.norm.running_var,
    ):
        tensor.copy_(torch.rand(8) + 0.5)
    model.norm.num_batches_tracked.fill_(7)
    model.mean += 0.5
    model.train()
    return model


def logits(model: nn.Module, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        return model.eval()(images)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_model(compressed(Traceable), folder, metadata={"classes": ["a", "b"]})
    return folder


@pytest.fixture(scope="module")
def untraced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untraced")
    save_model(compressed(Untraceable), folder, metadata={})
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_same_bits_in_a_process_without_the_code(run: Path, tmp_path: Path) -> None:
    safetensors.torch.save_file({"images": IMAGES}, tmp_path / "in")
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}  # as here: conftest.py
    call = [sys.executable, "-c", FRESH, str(run), str(tmp_path / "in"), str(tmp_path / "out")]
    subprocess.run(call, env=env, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    met = safetensors.torch.load_file(tmp_path / "out")["logits"]
    assert torch.equal(met, logits(compressed(Traceable)))


def test_keeps_every_tensor_and_stores_shared_ones_once(run: Path) -> None:
    model, loaded = compressed(Traceable), load(run)
    stored = safetensors.torch.load_file(run / "model.safetensors")
    expected = {**dict(model.named_parameters()), **dict(model.named_buffers())}  # shared ones once
    assert set(stored) == set(expected)
    assert "mean" in stored
    for name, tensor in expected.items():
        owner, _, leaf = name.rpartition(".")
        met = getattr(loaded.get_submodule(owner), leaf)
        assert torch.equal(met, tensor), name
        assert met.dtype == tensor.dtype
    assert loaded.get_submodule("tied1").weight is loaded.get_submodule("tied2").weight
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in model.parameters())


def test_leaves_the_model_and_the_random_state(tmp_path: Path) -> None:
    model = compressed(Traceable)
    model.norm.eval()
    flags = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    save_model(model, tmp_path, metadata={})
    loaded = load(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == flags
    assert not any(module.training for module in loaded.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keeps_other_types_and_layouts(tmp_path: Path, dtype: torch.dtype) -> None:
    model = compressed(Traceable).to(dtype).to(memory_format=torch.channels_last)
    save_model(model, tmp_path, metadata={})
    loaded = load(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert torch.equal(loaded.get_submodule("stem").weight, model.stem.weight)


def test_metadata_is_in_model_json(run: Path) -> None:
    content = json.loads((run / "model.json").read_text())
    assert content["metadata"] == {"classes": ["a", "b"]}
    assert content["untraceable"] is None


def test_untraceable_network_needs_its_architecture(untraced: Path) -> None:
    content = json.loads((untraced / "model.json").read_text())
    assert content["graph"] is None
    assert content["untraceable"]
    assert list(content["chains"]) == ["conv"]
    with pytest.raises(RunError, match=r"could not be traced .*pass load\(\.\.\., model="):
        load(untraced)
    given = Untraceable()
    loaded = load(untraced, model=given)
    assert loaded is given
    assert repr(given) == repr(compressed(Untraceable))  # a chain is an nn.Sequential again
    assert given.tied1.weight is given.tied2.weight
    assert torch.equal(given.mean, compressed(Untraceable).mean)
    assert not given.training
    assert torch.equal(logits(loaded), logits(compressed(Untraceable)))


def test_traceable_network_may_be_put_into_its_architecture(run: Path) -> None:
    given = Traceable()
    assert load(run, model=given) is given
    assert torch.equal(logits(given), logits(compressed(Traceable)))


def wider() -> nn.Module:
    model = Traceable()
    model.head = nn.Linear(8, 5)
    return model


def longer() -> nn.Module:
    model = Traceable()
    model.extra = nn.Linear(1, 1)
    return model


def shorter() -> nn.Module:
    model = Traceable()
    model.head = nn.Identity()
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(3, 2), "layer 'conv'"),
        (wider(), r"'head.weight' has the shape \(4, 8\), the network needs \(5, 8\)"),
        (longer(), "no tensor 'extra.weight' is stored"),
        (shorter(), "no tensor 'head.bias', which is stored"),
    ],
    ids=["other", "wider", "longer", "shorter"],
)
def test_architecture_that_does_not_fit(run: Path, model: nn.Module, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        load(run, model=model)
    assert "pass the architecture that was compressed" in str(caught.value)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.target,))

    def __init__(self, target: str) -> None:
        self.target = target


def test_nothing_is_unpickled(copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "exploded"
    for name in ("model.safetensors", "model.json"):
        old = (copy / name).read_bytes()
        for data in (pickle.dumps(Bomb(str(target))), b"PK\x03\x04" + pickle.dumps(Bomb(str(target)))):
            (copy / name).write_bytes(data)
            with pytest.raises(RunError, match=name):
                load(copy)
        torch.save(Bomb(str(target)), copy / name)
        with pytest.raises(RunError, match=name):
            load(copy)
        (copy / name).write_bytes(old)
    assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(str(target))))
    assert target.exists()  # it was a bomb


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_missing_or_cut_file(copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    for length in (0, 1, 8, 9, len(whole) // 2, len(whole) - 3):
        (copy / name).write_bytes(whole[:length])
        with pytest.raises(RunError, match=rf"cannot load the network from .*{name}: .*; restore the file"):
            load(copy)
    (copy / name).unlink()
    with pytest.raises(RunError, match=rf"{name}: No such file or directory; restore"):
        load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "it has format 2, this tenfold reads format 1"),
        (lambda c: c.pop("graph"), "lacks"),
        (lambda c: c.update(graph="x"), "lacks"),
        (lambda c: c.update(graph={}), "its graph makes no network"),
        (lambda c: c["aliases"].update(x=1), "lacks"),
        (lambda c: c["aliases"].update(x="y"), "refers to 'y'"),
        (lambda c: c["aliases"].clear(), "no tensor '.*' is stored"),
    ],
)
def test_edited_description(copy: Path, change: Callable[[dict], object], message: str) -> None:
    edit(copy / "model.json", change)
    with pytest.raises(RunError, match=message):
        load(copy)


def test_edited_chain(untraced: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(untraced, tmp_path / "copy"))
    edit(folder / "model.json", lambda c: c["chains"].update(conv={}))
    with pytest.raises(RunError, match="its chain 'conv' makes no network"):
        load(folder, model=Untraceable())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("norm.running_mean"), "no tensor 'norm.running_mean' is stored"),
        (
            lambda w: w.update({"head.bias": torch.zeros(5)}),
            r"'head.bias' has the shape \(5,\), .* needs \(4,\)",
        ),
        (
            lambda w: w.update({"head.bias": torch.zeros(4, dtype=torch.int8)}),
            "'head.bias' has the type torch.int8",
        ),
    ],
)
def test_weights_of_another_network(copy: Path, change: Callable[[dict], object], message: str) -> None:
    weights = safetensors.torch.load_file(copy / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, copy / "model.safetensors")
    with pytest.raises(RunError, match=message) as caught:
        load(copy)
    assert "restore model.safetensors and model.json of one run" in str(caught.value)


def places(content: object) -> list[tuple[object, object]]:
    """Every (container, key) of a JSON value."""
    keys = (
        content.keys()
        if isinstance(content, dict)
        else range(len(content))
        if isinstance(content, list)
        else ()
    )
    return [(content, key) for key in keys] + [place for key in keys for place in places(content[key])]


def test_any_edit_is_an_error_of_tenfold_or_harmless(copy: Path) -> None:
    text = (copy / "model.json").read_text()
    chance = random.Random(0)
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(150):
        content = json.loads(text)
        where, key = chance.choice(places(content))
        where[key] = chance.choice([None, -1, 0, 3, 1.5, "x", "", [], {}, [1], {"a": 1}, True])
        (copy / "model.json").write_text(json.dumps(content))
        try:
            load(copy)
        except RunError:
            outcomes["refused"] += 1
        else:
            outcomes["loaded"] += 1
    assert outcomes["refused"] > 40


def test_what_cannot_be_written(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(RunError, match=r"model\.json: metadata should be JSON"):
        save_model(model, tmp_path, metadata={"x": object()})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match=r"cannot write .*model\.safetensors"):
        save_model(model, tmp_path / "none", metadata={})


def test_views_of_one_memory(tmp_path: Path) -> None:
    """Parameters that are slices of one tensor, which safetensors itself refuses."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    memory = torch.arange(6.0).reshape(3, 2)
    model[0].weight.data, model[1].weight.data = memory[:2], memory[1:]
    save_model(model, tmp_path, metadata={})
    loaded = load(tmp_path)
    assert torch.equal(loaded.get_submodule("0").weight, memory[:2])
    assert torch.equal(loaded.get_submodule("1").weight, memory[1:])
