from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from deploy.networks import SHAPE, images
from tenfold.deploy.eight_bits import balance, correct_biases, small_layers, store_weights
from tenfold.deploy.onnx import export_onnx
from tenfold.deploy.runtime import session

IMAGES = images(16).numpy()


class Chains(nn.Module):
    """A chain with groups and biases, one whose middle is used twice, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.Conv2d(12, 8, 1)
        )
        self.two, self.three = nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.head = nn.Linear(8, 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.one(image))
        middle = self.two(x)
        return self.head((middle + self.three(middle)).mean((2, 3)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = Chains()
    with torch.no_grad():
        model.one[0].weight *= torch.logspace(-2, 2, 8)[:, None, None, None]
        model.one[0].weight[3] = 0  # a dead channel
    return export_onnx(model, tmp_path_factory.mktemp("chains") / "model.onnx", SHAPE)


def tensors(path: Path) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def answers(path: Path) -> np.ndarray:
    return session(path, threads=1).run(None, {"image": IMAGES})[0]


def test_balanced_channels_have_one_range_and_the_network_is_the_same(exported: Path, tmp_path: Path) -> None:
    even = balance(exported, tmp_path / "even.onnx")
    before, after = tensors(exported), tensors(even)
    largest = np.abs(after["one.0.weight"]).max((1, 2, 3))
    assert largest[3] == 0
    np.testing.assert_allclose(np.delete(largest, 3), 1, rtol=1e-6)
    np.testing.assert_allclose(np.abs(after["one.1.weight"]).max((1, 2, 3)), 1, rtol=1e-6)
    for name in ("two.weight", "three.weight", "head.weight"):  # what is used twice stays
        np.testing.assert_array_equal(after[name], before[name])
    right = answers(exported)
    # products of three stages in another order: a few roundings of 2^-24 of the largest
    assert np.abs(answers(even) - right).max() <= 2e-6 * np.abs(right).max()


def test_weights_are_integers_times_a_scale(exported: Path, tmp_path: Path) -> None:
    even = balance(exported, tmp_path / "even.onnx")
    made = store_weights(even, tmp_path / "made.onnx", keep=("head",))
    before, after = tensors(even), tensors(made)
    names = ["one.0", "one.1", "one.2", "two", "three"]
    assert {name for name in after if name.endswith(".weight")} == {"head.weight"}
    for number, name in enumerate(names):
        weights, integers, scale = before[f"{name}.weight"], after[f"q{number}"], after[f"s{number}"]
        assert integers.dtype == np.int8
        assert np.abs(integers.astype(int)).max() == 127
        assert np.abs(integers * scale - weights).max() <= 0.5 * scale.max() * (1 + 1e-6)
        shape = weights.shape
        # balanced stages need one scale; one channel of the first is dead, so it has one a channel
        assert scale.shape == ((shape[0], 1, 1, 1) if name in ("one.0", "one.2", "two", "three") else ())


def test_a_linear_layer_has_a_scale_for_each_output(exported: Path, tmp_path: Path) -> None:
    weights = tensors(exported)["head.weight"]
    made = store_weights(exported, tmp_path / "made.onnx", keep=["one.0", "one.1", "one.2", "two", "three"])
    np.testing.assert_allclose(tensors(made)["s0"][:, 0], np.abs(weights).max(1) / 127, rtol=1e-6)


def test_the_file_is_smaller_answers_alike_and_takes_any_batch(exported: Path, tmp_path: Path) -> None:
    made = store_weights(exported, tmp_path / "made.onnx")
    right = answers(exported)
    # six layers, each rounded to 1/254 of its range, and no error that adds up from all of them
    assert 0 < np.abs(answers(made) - right).max() < 6 / 254 * np.abs(right).max()
    assert session(made, threads=1).run(None, {"image": IMAGES[:1]})[0].shape == (1, 16)
    saved = sum(w.size * 3 for n, w in tensors(exported).items() if n.endswith(".weight"))
    overhead = exported.stat().st_size - made.stat().st_size - saved
    assert abs(overhead) <= 6 * 200  # two nodes and a scale a layer


def test_corrected_biases_leave_no_mean_error(exported: Path, tmp_path: Path) -> None:
    def opened(path: Path, name: str) -> np.ndarray:
        proto = onnx.load(path)
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        return session(proto.SerializeToString(), threads=1).run([name], {"image": IMAGES})[0]

    made = store_weights(exported, tmp_path / "made.onnx")
    with_bias = [
        n.output[0] for n in onnx.load(exported).graph.node if n.op_type == "Conv" and len(n.input) > 2
    ]
    assert len(with_bias) == 3  # all stages of the first chain
    errors = {n: np.abs((opened(made, n) - opened(exported, n)).mean((0, 2, 3))).max() for n in with_bias}
    assert correct_biases(exported, made, IMAGES) == made
    for name, before in errors.items():
        value = opened(exported, name)
        # float32 sums of 8 x 8 x 16 values: a few roundings of their size
        assert (
            np.abs((opened(made, name) - value).mean((0, 2, 3))).max() < 4e-6 * np.abs(value).max() < before
        )


def test_layers_that_are_not_worth_it(exported: Path) -> None:
    assert small_layers(exported) == ["one.0"]  # 24 weights


def test_a_runtime_folds_the_integers(exported: Path, tmp_path: Path) -> None:
    import onnxruntime

    made = store_weights(exported, tmp_path / "made.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(made), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert not kinds & {"Cast", "Mul"}
