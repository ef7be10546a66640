from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

import tenfold.deploy.verify as verify_module
from deploy.networks import SHAPE, images, small
from tenfold.core.errors import ExportError, ParityError
from tenfold.deploy import runtime, timing
from tenfold.deploy.runtime import InferenceSession
from tenfold.deploy.verify import Latency, latency_ms, parity, size_bytes

node = helper.make_node


class Twice(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image, image


def test_parity_of_a_true_export(exported: Path) -> None:
    model = small().train()
    model.norm2.eval()
    flags = [module.training for module in model.modules()]
    # four layers of at most 72 products in float32, scales folded: some 1e-6, and not exactly 0
    assert 0 < parity(model, exported, images(5)) < 5e-6
    assert [module.training for module in model.modules()] == flags
    assert all(not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("layer", ["stem", "chain.1", "hidden", "head"])
def test_parity_names_the_first_layer_that_differs(exported: Path, layer: str) -> None:
    model = small()
    weight = model.get_submodule(layer).weight
    with torch.no_grad():
        weight += 0.2
    with pytest.raises(ParityError, match=rf"allowed is 0.0001, first at layer '{layer}'"):
        parity(model, exported, images(5))
    assert all(not module._forward_hooks for module in model.modules())


def test_parity_is_relative_to_the_largest_logit(exported: Path) -> None:
    model = small()
    model.head.bias.data += torch.tensor([0.5, 0.0, 0.0, 0.0])
    largest = min(float(model.eval()(images(n)).detach().abs().max().clamp(min=1)) for n in (1, 2, 5))
    worst = parity(model, exported, images(5), tolerance=1.0)
    assert worst == pytest.approx(0.5 / largest, abs=1e-5)
    with pytest.raises(ParityError, match=f"{worst:.3g}, allowed is {worst * 0.99:.3g}"):
        parity(model, exported, images(5), tolerance=worst * 0.99)


def test_parity_that_is_no_number(exported: Path) -> None:
    model = small()
    model.head.bias.data[0] = torch.nan
    with pytest.raises(ParityError, match="nan"):
        parity(model, exported, images(2), tolerance=1e9)


@pytest.mark.parametrize("wrong", [1, 2, 5])
def test_parity_looks_at_batches_of_1_of_2_and_of_all(by_hand, wrong: int) -> None:
    """A file that adds 1 in batches of one size and is right in others."""
    path = by_hand(
        node("Shape", ["image"], ["size"], end=1),
        node("Cast", ["size"], ["count"], to=TensorProto.FLOAT),
        node("Equal", ["count", "wrong"], ["same"]),
        node("Cast", ["same"], ["error"], to=TensorProto.FLOAT),
        node("Add", ["image", "error"], ["logits"]),
        constants={"wrong": float(wrong)},
    )
    rows = torch.rand(5, 3)
    with pytest.raises(ParityError, match="difference is 1,"):
        parity(nn.Identity(), path, rows)
    if wrong == 5:
        assert parity(nn.Identity(), path, rows[:4]) == 0


def test_parity_of_other_outputs(by_hand) -> None:
    path = by_hand(node("Relu", ["image"], ["logits"]))
    with pytest.raises(ParityError, match=r"it gives \[\(1, 3\), \(1, 3\)\] and the file \[\(1, 3\)\]"):
        parity(Twice(), path, torch.rand(2, 3))
    with pytest.raises(ParityError, match=r"it gives \[\(1, 2\)\]"):
        parity(nn.Linear(3, 2), path, torch.rand(2, 3))


def test_parity_without_images(exported: Path) -> None:
    with pytest.raises(ParityError, match="no images"):
        parity(small(), exported, images(1)[:0])


def test_parity_of_a_file_for_other_images(exported: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot run images of shape \(1, 3, 9, 8\)"):
        parity(small(), exported, torch.rand(1, 3, 9, 8))


def test_latency_takes_turns_after_warming_up(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files A and B would take 1, 2, ... 41 ms and ten times that."""
    events: list[str] = []
    names = iter("AB")

    def runner(*_: object) -> Callable[[], None]:
        name = next(names)
        return lambda: events.append(name)

    def seconds(run: Callable[[], None]) -> float:
        run()
        events[-1] = f"timed {events[-1]}"
        turn = events.count(events[-1])
        return turn / 1000 * (10 if events[-1].endswith("B") else 1)

    monkeypatch.setattr(verify_module, "runner", runner)
    monkeypatch.setattr(timing, "_seconds", seconds)
    rows = latency_ms([exported, exported], SHAPE, repetitions=41)
    assert events == ["A", "B"] * 5 + ["timed A", "timed B"] * 41
    assert rows == [
        Latency(pytest.approx(21.0), pytest.approx((11.0, 31.0)), 41, 1, 1),
        Latency(pytest.approx(210.0), pytest.approx((110.0, 310.0)), 41, 1, 1),
    ]


def test_latency_is_measured(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def session(path: Path, *, threads: int) -> InferenceSession:
        asked.append(threads)
        return runtime.session(path, threads=threads)

    monkeypatch.setattr(verify_module, "session", session)
    alone, many = (
        latency_ms([exported], SHAPE, batch=batch, threads=2, repetitions=30)[0] for batch in (1, 256)
    )
    assert many.median_ms > 3 * alone.median_ms > 0  # 256 times the work
    assert alone.quartiles[0] <= alone.median_ms <= alone.quartiles[1]
    assert (many.batch, many.threads, many.repetitions) == (256, 2, 30)
    assert asked == [2, 2]


def test_latency_feeds_the_batch_and_says_what_does_not_fit(by_hand, exported: Path) -> None:
    path = by_hand(node("Relu", ["image"], ["logits"]), batch=3)
    with pytest.raises(ExportError, match=r"cannot run images of shape \(2, 3, 8, 8\)"):
        latency_ms([path], SHAPE, batch=2)
    with pytest.raises(ExportError, match=r"cannot load .*none"):
        latency_ms([exported, "none"], SHAPE)
    with pytest.raises(ExportError, match="29 timed runs"):
        latency_ms([exported], SHAPE, repetitions=29)


def test_size_bytes(exported: Path, tmp_path: Path) -> None:
    assert size_bytes(exported) == len(exported.read_bytes())
    with pytest.raises(ExportError, match="export the network first"):
        size_bytes(tmp_path / "none")
