from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from deploy.networks import SHAPE, small
from tenfold.deploy.onnx import export_onnx


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, exported once."""
    return export_onnx(small(), tmp_path_factory.mktemp("export") / "small.onnx", SHAPE)


@pytest.fixture
def by_hand(tmp_path: Path):
    """Makes a file of given nodes from "image" to "logits", both of shape (batch, 3)."""

    def make(
        *nodes: onnx.NodeProto, batch: str | int = "batch", constants: dict[str, float] | None = None
    ) -> Path:
        values = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, 3]) for n in ("image", "logits")
        ]
        initializers = [
            helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (constants or {}).items()
        ]
        graph = helper.make_graph(nodes, "by_hand", values[:1], values[1:], initializer=initializers)
        path = tmp_path / "by_hand.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        return path

    return make
