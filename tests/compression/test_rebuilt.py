from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from odd_layers import around
from tenfold.compression.oneshot import decompose_model
from tenfold.compression.rebuilt import Rebuilt, chains, faster_rebuilt, rebuilt
from tenfold.core.plan import Choice, Plan
from tenfold.core.shapes import ConvSpec, Stage, repeat_groups
from tenfold.layers.chain import build_chain

# Float64 sums of at most a thousand products, each rounded by 1e-16.
ROUNDING = 1e-11

BLOCKS = (Stage(6, 4), Stage(9, 6, (3, 3), groups=3), Stage(5, 9))
SEPARABLE = (Stage(3, 4), Stage(4, 3, (3, 1)), Stage(2, 4, (1, 3)), Stage(5, 2))
CASES = {
    "zeros": (ConvSpec(5, 4, (3, 3), padding=(1, 2), bias=True), BLOCKS),
    "reflect": (ConvSpec(5, 4, (3, 3), padding=(1, 2), padding_mode="reflect", bias=True), BLOCKS),
    "circular": (ConvSpec(5, 4, (3, 3), padding=(2, 1), padding_mode="circular"), SEPARABLE),
    "replicate": (ConvSpec(5, 4, (3, 3), padding=(0, 1), padding_mode="replicate"), BLOCKS),
    "same": (ConvSpec(5, 4, (3, 3), padding="same", dilation=(1, 2), bias=True), SEPARABLE),
    "stride": (ConvSpec(5, 4, (3, 3), stride=(2, 1), padding=(1, 1)), SEPARABLE),
    "dilation": (ConvSpec(5, 4, (3, 3), dilation=(2, 1), bias=True), BLOCKS),
    "groups": (ConvSpec(10, 8, (3, 3), padding=(1, 1), groups=2, bias=True), repeat_groups(BLOCKS, 2)),
    "pointwise": (ConvSpec(5, 4, stride=(2, 2), padding=(1, 0)), (Stage(2, 4), Stage(5, 2))),
    "linear": (ConvSpec(5, 4, linear=True, bias=True), (Stage(2, 4), Stage(5, 2))),
}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def chain_of(name: str) -> tuple[nn.Sequential, Tensor]:
    """A chain, and an input for it."""
    spec, stages = CASES[name]
    weights = tuple(noise(*stage.shape, seed=n) for n, stage in enumerate(stages))
    chain = build_chain(spec, stages, weights, noise(spec.out, seed=9) if spec.bias else None)
    return chain, noise(3, 2, spec.inp) if spec.linear else noise(2, spec.inp, 7, 6)


@pytest.mark.parametrize("name", CASES)
def test_same_output_and_same_gradients_as_the_chain(name):
    chain, given = chain_of(name)
    given.requires_grad_()
    direction = noise(*chain(given).shape, seed=5)
    found = []
    for form in (chain, Rebuilt(chain)):
        output = form(given)
        wanted = [given, *chain.parameters()]
        found.append((output.detach(), *torch.autograd.grad((output * direction).sum(), wanted)))
    for one, other in zip(*found, strict=True):
        assert float((one - other).abs().max()) <= ROUNDING * float(one.abs().max())


def test_the_rebuilt_form_owns_the_same_parameters():
    chain, given = chain_of("zeros")
    form = Rebuilt(chain)
    assert [id(p) for p in form.parameters()] == [id(p) for p in chain.parameters()]
    assert torch.equal(form(input=given), form(given))


def test_under_autocast_the_kernel_is_still_multiplied_out_in_its_own_precision():
    chain, given = chain_of("zeros")
    chain, given = chain.float(), given.float()
    form = Rebuilt(chain)
    plain = form(given).detach()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        cast = form(given)
    assert cast.dtype == torch.bfloat16
    # One convolution rounds input and kernel to 8 bits each: 2^-8 of the products, which partly cancel.
    assert float((cast - plain).norm() / plain.norm()) < 2**-8


PLAN = Plan({"layer": Choice("btd", (3, 2, 2)), "head": Choice("svd", (2,))})
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def network(name: str = "plain") -> nn.Module:
    return decompose_model(around(name), PLAN, IMAGES).train()


def test_chains_are_found_by_name():
    net = network()
    assert chains(net) == {"layer": net.layer, "head": net.head}
    mixed = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 3, 1))
    assert chains(nn.Sequential(mixed)) == {}


def test_same_padding_in_another_mode_is_not_rebuilt():
    net = decompose_model(around("same reflect dilated"), PLAN, IMAGES)
    assert list(chains(net)) == ["head"]


@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_the_same_chain_objects_stand_there(fails):
    net = network()
    objects, flags = {n: id(m) for n, m in net.named_modules()}, [m.training for m in net.modules()]
    keys = list(net.state_dict())
    answer = net(IMAGES)

    def hold() -> None:
        with rebuilt(net, ["layer", "head"]) as held:
            assert held is net
            assert isinstance(net.layer, Rebuilt)
            assert isinstance(net.head, Rebuilt)
            torch.testing.assert_close(net(IMAGES), answer, rtol=1e-4, atol=1e-5)  # float32
            if fails:
                raise RuntimeError("stopped")

    if fails:
        with pytest.raises(RuntimeError, match="stopped"):
            hold()
    else:
        hold()
    assert {n: id(m) for n, m in net.named_modules()} == objects
    assert [m.training for m in net.modules()] == flags
    assert list(net.state_dict()) == keys
    assert torch.equal(net(IMAGES), answer)


def test_an_unknown_name_leaves_no_chain_rebuilt():
    net = network()
    with pytest.raises(KeyError), rebuilt(net, ["layer", "nothing"]):
        pass
    assert isinstance(net.layer, nn.Sequential)


def test_a_shared_chain_is_rebuilt_everywhere():
    net = network("shared")
    layer = net.layer
    with rebuilt(net, ["layer"]):
        assert isinstance(net.again, Rebuilt)
        assert net.again is net.layer
    assert net.layer is net.again is layer


def test_timing_leaves_the_network_as_it_was():
    net = network()
    net.stem = nn.Sequential(net.stem, nn.BatchNorm2d(8))
    net.stem.requires_grad_(False)
    net.eval()
    net.head.train()
    before = copy.deepcopy(net.state_dict())
    objects, flags = {n: id(m) for n, m in net.named_modules()}, [m.training for m in net.modules()]
    assert set(faster_rebuilt(net, IMAGES)) <= {"layer"}
    assert {n: id(m) for n, m in net.named_modules()} == objects
    assert [m.training for m in net.modules()] == flags
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize("as_chain", [0.5, 2.0])
def test_the_faster_form_is_named_and_linear_chains_are_not_timed(monkeypatch, as_chain):
    net = network()
    timed = []

    def clock(form: nn.Module, given: Tensor, _: int) -> float:
        timed.append((type(form), given.ndim))
        return 1.0 if isinstance(form, Rebuilt) else as_chain

    monkeypatch.setattr("tenfold.compression.rebuilt._seconds", clock)
    assert faster_rebuilt(net, IMAGES) == (["layer"] if as_chain > 1 else [])
    assert timed == [(nn.Sequential, 4), (Rebuilt, 4)]


def test_chains_of_equal_shape_are_timed_once(monkeypatch):
    net = nn.Sequential(
        chain_of("zeros")[0], nn.Conv2d(5, 4, (3, 5), padding=(1, 1)), chain_of("zeros")[0]
    ).double()
    calls = []
    monkeypatch.setattr("tenfold.compression.rebuilt._seconds", lambda *args: calls.append(args) or 1.0)
    faster_rebuilt(net, noise(3, 4, 7, 6))
    assert [type(form) for form, *_ in calls] == [nn.Sequential, Rebuilt]


def test_a_chain_that_is_called_by_keyword():
    class Keyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = chain_of("zeros")[0]

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(input=x)

    net = Keyword()
    assert set(faster_rebuilt(net, noise(3, 4, 7, 6))) <= {"layer"}
