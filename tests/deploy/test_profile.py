from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto

from deploy.networks import SHAPE
from tenfold.core.errors import ExportError
from tenfold.deploy import profile as profile_module
from tenfold.deploy.profile import profile


def test_every_layer_is_found_once_and_shares_sum_to_one(exported: Path) -> None:
    nodes = profile(exported, SHAPE, repetitions=5)
    layers = [node.layer for node in nodes if node.layer]
    assert sorted(layers) == ["chain.0", "chain.1", "chain.2", "head", "hidden", "stem"]
    assert sum(node.share for node in nodes) == pytest.approx(1)
    assert all(node.median_ms >= 0 for node in nodes)


def test_median_is_over_the_last_runs_of_a_node() -> None:
    def event(name: str, microseconds: int, cat: str = "Node") -> dict[str, object]:
        return {"cat": cat, "name": name, "dur": microseconds, "args": {"op_name": "Conv"}}

    events = [event("a_kernel_time", 900), event("a_fence_before", 900), event("x_kernel_time", 9, "Session")]
    events += [event("a_kernel_time", t) for t in (1000, 3000, 2000)]
    events += [event("fused b_kernel_time", 6000)] * 3
    one, other = profile_module._summed_up(events, {"a": "first", "b": "second"}, 3)
    assert (one.layer, one.name, one.median_ms, one.share) == ("first", "a", 2.0, 0.25)
    assert (other.layer, other.name, other.median_ms, other.share) == ("second", "fused b", 6.0, 0.75)
    with pytest.raises(ExportError, match="no times"):
        profile_module._summed_up(events[1:3], {}, 3)


def test_a_layout_change_belongs_to_no_layer() -> None:
    assert profile_module._layer_of("ReorderOutput", "ReorderOutput", {"ReorderOutput": "x"}) == ""
    assert profile_module._layer_of("relu_nchwc", "Conv", {"relu": "conv1"}) == "conv1"
    assert profile_module._layer_of("relu_1", "Slice", {"relu": "conv1"}) == ""


def test_unrunnable_file(by_hand) -> None:
    from onnx import helper

    path = by_hand(
        helper.make_node("Cast", ["image"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["logits"], to=TensorProto.FLOAT),
    )
    with pytest.raises(ExportError, match="cannot run images of shape"):
        profile(path, SHAPE, repetitions=1)
