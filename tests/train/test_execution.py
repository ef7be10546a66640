from __future__ import annotations

import pytest
import torch
from torch import nn

from tenfold.compression.rebuilt import Rebuilt
from tenfold.core.shapes import ConvSpec, Stage
from tenfold.layers.chain import build_chain
from tenfold.train import execution as under_test
from tenfold.train.execution import Execution, answers_in_bfloat16, choose_execution, executed

BATCH = torch.ones(2, 2, 5, 5)


@pytest.fixture(autouse=True)
def instructions_for_bfloat16(monkeypatch):
    """Whatever processor this is, bfloat16 is worth trying."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})


def network() -> nn.Sequential:
    """A network of one chain and a batch norm, frozen as for use."""
    spec = ConvSpec(4, 2, (3, 3), padding=(1, 1))
    stages = (Stage(1, 2, (3, 1)), Stage(4, 1, (1, 3)))
    chain = build_chain(spec, stages, tuple(torch.ones(stage.shape) for stage in stages), None)
    return nn.Sequential(chain, nn.BatchNorm2d(4)).eval().requires_grad_(False)


@pytest.mark.parametrize(("form", "names"), [("chain", ()), ("rebuilt", ("0",))])
@pytest.mark.parametrize(("precision", "cast"), [("float32", False), ("bfloat16", True)])
def test_what_is_asked_for_is_not_timed(form, names, precision, cast):
    assert choose_execution(network(), BATCH, form=form, precision=precision) == Execution(names, cast)


@pytest.mark.parametrize(("quick", "slow"), [(0.7, True), (0.9, False)])
def test_bfloat16_must_be_clearly_faster(monkeypatch, quick, slow):
    now = [0.0]

    def clock() -> float:
        return now[0]

    def pass_(*_: object) -> None:
        now[0] += quick if torch.is_autocast_enabled("cpu") else 1.0

    net = network()
    net.register_forward_hook(pass_)
    monkeypatch.setattr(under_test, "perf_counter", clock)
    assert choose_execution(net, BATCH, form="chain").bfloat16 is slow


def test_bfloat16_is_not_tried_where_the_processor_has_no_instructions_for_it(monkeypatch):
    net, casts = network(), []
    net.register_forward_hook(lambda *_: casts.append(torch.is_autocast_enabled("cpu")))
    found = {"avx2": True, "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert not choose_execution(net, BATCH, form="chain").bfloat16
    assert casts == []


def test_the_backward_pass_counts_too_and_leaves_no_gradient(monkeypatch):
    now = [0.0]

    def both_ways(_module: nn.Module, _given: object, output: torch.Tensor) -> None:
        cast = torch.is_autocast_enabled("cpu")
        now[0] += 0.5 if cast else 1.0
        output.register_hook(lambda _: now.__setitem__(0, now[0] + (3.0 if cast else 1.0)))

    net = network()
    net.register_forward_hook(both_ways)
    monkeypatch.setattr(under_test, "perf_counter", lambda: now[0])
    assert not choose_execution(net, BATCH, form="chain").bfloat16
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize(("quick", "slow"), [(0.7, True), (0.9, False)])
def test_for_a_teacher_the_forward_pass_alone_counts(monkeypatch, tmp_path, quick, slow):
    now, given, graphs = [0.0], torch.full((40, 2, 5, 5), -1.0), []

    def pass_(_module: nn.Module, _given: object, output: torch.Tensor) -> None:
        now[0] += quick if torch.is_autocast_enabled("cpu") else 1.0
        graphs.append(output.requires_grad)

    teacher = nn.Sequential(nn.ReLU(inplace=True), *network()).requires_grad_(requires_grad=True)
    teacher.register_forward_hook(pass_)
    monkeypatch.setattr(under_test, "perf_counter", lambda: now[0])
    assert answers_in_bfloat16(teacher, given, cache=tmp_path) is slow
    assert (given == -1).all()
    passed = now[0]
    assert answers_in_bfloat16(teacher, given, cache=tmp_path) is slow
    assert now[0] == passed
    assert not any(graphs)
    choose_execution(teacher, given, form="chain", cache=tmp_path)
    assert now[0] > passed


@pytest.mark.parametrize(("precision", "cast"), [("float32", False), ("bfloat16", True)])
def test_a_teacher_answers_in_the_precision_that_is_asked_for(precision, cast):
    assert answers_in_bfloat16(network(), BATCH, precision=precision) is cast


def test_linear_chains_stay_chains_while_the_precision_is_timed(monkeypatch):
    spec, stages = ConvSpec(2, 4, linear=True), (Stage(1, 4), Stage(2, 1))
    head = build_chain(spec, stages, tuple(torch.ones(stage.shape) for stage in stages), None)
    net = nn.Sequential(network(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    seen = []
    net.register_forward_hook(lambda held, *_: seen.append((type(held[0][0]), type(held[3]))))
    monkeypatch.setattr(under_test, "faster_rebuilt", lambda *_args, **_options: [])
    choose_execution(net, BATCH)
    assert set(seen) == {(Rebuilt, nn.Sequential)}


def test_a_network_of_several_answers_is_timed_too():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            found = self.net(images)
            return {"one": found, "two": 2 * found}

    assert choose_execution(Two(), BATCH, form="chain").rebuilt == ()


def test_a_frozen_network_is_trainable_meanwhile_and_frozen_again():
    net = network()
    with executed(net, Execution(("0",))):
        assert all(parameter.requires_grad for parameter in net.parameters())
        assert net.training
        assert not isinstance(net[0], nn.Sequential)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not net.training
    assert isinstance(net[0], nn.Sequential)
