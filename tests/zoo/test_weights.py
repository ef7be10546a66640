from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tenfold.core.errors import NonFiniteError, WeightsError
from tenfold.zoo import build
from tenfold.zoo.weights import load_weights


def network(seed: int = 0, out: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, out, 3), nn.BatchNorm2d(out), nn.Linear(out, 2))
    with torch.no_grad():
        net[1].running_mean.normal_()
        net[1].num_batches_tracked.fill_(seed + 5)
    return net


def state(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.safetensors"


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_every_tensor_arrives_whatever_the_wrapper_put_before_it(path, prefix):
    source, target = network(0), network(1)
    save_file({prefix + name: tensor for name, tensor in state(source).items()}, path)
    load_weights(target, path)
    assert equal(state(source), state(target))


def test_a_name_of_the_networks_own_is_no_prefix(path):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(2, 2)

    source, target = Net(), Net()
    save_file(source.state_dict(), path)
    load_weights(target, path)
    assert equal(state(source), state(target))


def test_counters_may_be_missing_and_stay_as_they_were(path):
    source, target = network(0), network(1)
    save_file({k: v for k, v in state(source).items() if "num_batches" not in k}, path)
    load_weights(target, path)
    assert int(target[1].num_batches_tracked) == 6
    assert torch.equal(target[0].weight, source[0].weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_the_dtype_stays_the_networks(path, dtype):
    source, target = network(0), network(1)
    save_file({k: v.to(dtype) if v.is_floating_point() else v for k, v in state(source).items()}, path)
    load_weights(target, path)
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.to(dtype).float())


def without(name: str):
    return lambda s: {k: v for k, v in s.items() if k != name}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (without("0.weight"), r"1 missing: 0\.weight;"),
        (without("1.running_var"), r"1 missing: 1\.running_var;"),
        (lambda s: {**s, "3.weight": torch.ones(1)}, r"1 unexpected: 3\.weight;"),
        (
            lambda s: {**s, "2.weight": torch.ones(5, 4)},
            r"1 of another shape: 2\.weight \(file \(5, 4\), network \(2, 4\)\); the names agree",
        ),
        (lambda s: {**s, "0.bias": torch.ones(4).char()}, r"1 of another kind: 0\.bias \(file torch\.int8"),
        (lambda _: {f"x{n}": torch.ones(1) for n in range(5)}, r"5 unexpected: x0, x1, x2, \.\.\.;"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told_apart_and_nothing_is_loaded(path, edit, message):
    target = network(1)
    before = state(target)
    save_file(edit(state(network(0))), path)
    with pytest.raises(WeightsError, match=message):
        load_weights(target, path)
    assert equal(before, state(target))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_names_its_tensor_and_nothing_is_loaded(path, value):
    target = network(1)
    before = state(target)
    broken = state(network(0))
    broken["2.weight"][1, 3] = value
    save_file(broken, path)
    with pytest.raises(NonFiniteError, match=r"w\.safetensors: 2\.weight holds NaN or inf"):
        load_weights(target, path)
    assert equal(before, state(target))


def test_numbers_beyond_the_networks_dtype_are_found(path):
    save_file({k: v.double() * 1e30 if k == "0.weight" else v for k, v in state(network(0)).items()}, path)
    load_weights(network(1), path)
    with pytest.raises(NonFiniteError, match=r"0\.weight"):
        load_weights(network(1).half(), path)


def test_the_architecture_that_fits_is_named(path):
    save_file(build("resnet32", classes=10).state_dict(), path)
    with pytest.raises(WeightsError, match=r"72 unexpected: .*names are those of 'resnet32'"):
        load_weights(build("resnet20", classes=10), path)


def test_another_number_of_classes_is_told(path):
    save_file(build("small", classes=10).state_dict(), path)
    with pytest.raises(WeightsError, match=r"2 of another shape: classifier.*network with the classes"):
        load_weights(build("small", classes=7), path)


def test_an_unknown_network_is_told_by_its_number_of_layers(path):
    save_file({f"layer{n}": torch.ones(2, 2) for n in range(9)}, path)
    with pytest.raises(WeightsError, match="the file has 9 layers with weights, the network 2"):
        load_weights(network(), path)


def test_a_frozen_network_that_shares_a_layer_is_loaded_too(path):
    shared = nn.Linear(2, 2)
    target = nn.Sequential(shared, shared).requires_grad_(requires_grad=False)
    save_file(
        {
            "0.weight": torch.ones(2, 2),
            "0.bias": torch.ones(2),
            "1.weight": torch.ones(2, 2),
            "1.bias": torch.ones(2),
        },
        path,
    )
    load_weights(target, path)
    assert target[1] is target[0]
    assert float(shared.weight.sum()) == 4
