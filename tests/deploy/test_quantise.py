from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from deploy.networks import SHAPE, images
from tenfold.core.errors import ExportError
from tenfold.deploy import quantise as quantise_module
from tenfold.deploy.quantise import layers_of, quantise, quantise_gated
from tenfold.deploy.runtime import session
from tenfold.deploy.verify import latency_ms

LAYERS = ["stem", "chain.0", "chain.1", "chain.2", "hidden", "head"]
IMAGES = images(64).numpy()


def weights(path: Path) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def in_eight_bits(path: Path) -> set[str]:
    """Layers that are computed in 8 bits."""
    return {
        name.partition(".weight")[0] for name, w in weights(path).items() if name.endswith("weight_quantized")
    }


def in_float32(path: Path) -> set[str]:
    """Layers that are as they were; those that are left are stored in 8 bits."""
    return {name.partition(".weight")[0] for name in weights(path) if name.endswith(".weight")}


def answers(path: Path, count: int = 64) -> np.ndarray:
    return session(path, threads=1).run(None, {"image": IMAGES[:count]})[0]


def test_weights_take_seven_of_eight_bits_and_the_batch_stays_dynamic(exported: Path, tmp_path: Path) -> None:
    assert list(layers_of(exported)) == LAYERS
    made = quantise(exported, tmp_path / "int8.onnx", IMAGES)
    assert in_eight_bits(made) == set(LAYERS)
    for name, values in weights(made).items():
        if name.endswith("weight_quantized"):
            assert values.dtype == np.int8
            # reduce_range: with all eight bits, sums overflow on processors without VNNI
            assert 60 <= np.abs(values.astype(int)).max() <= 64
    right = answers(exported)
    for count in (1, 64):
        met = answers(made, count)
        assert met.shape == (count, 4)
        # seven layers rounded to some 1/128 of their range each
        assert 0 < np.abs(met - right[:count]).max() < 0.05 * np.abs(right).max()
    assert made.read_bytes() == quantise(exported, tmp_path / "again.onnx", IMAGES).read_bytes()


def test_kept_layers_stay_in_float32(exported: Path, tmp_path: Path) -> None:
    made = quantise(exported, tmp_path / "int8.onnx", IMAGES, keep=("stem", "chain.1"))
    assert in_eight_bits(made) == set(LAYERS) - {"stem", "chain.1"}
    none = quantise(exported, tmp_path / "none.onnx", IMAGES, keep=LAYERS)
    assert none.read_bytes() == exported.read_bytes()
    assert len(latency_ms([made], SHAPE, repetitions=30)) == 1


def test_accuracy_puts_back_first_what_is_stored_then_what_is_computed(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(path: Path) -> float:
        if path == exported:
            return 90.0
        computed, stored = in_eight_bits(path), set(LAYERS) - in_eight_bits(path) - in_float32(path)
        return 80.0 if computed & {"head", "hidden"} else 89.4 if "stem" in stored else 89.5

    ranked = {"_computed_alone": ["head", "chain.0", "hidden", "chain.1"], "_stored_alone": ["stem", "head"]}
    monkeypatch.setattr(quantise_module, "small_layers", lambda _: [])
    monkeypatch.setattr(quantise_module, "_slow_layers", lambda *_: {"chain.2": "slow"})
    monkeypatch.setattr(quantise_module, "_by_sensitivity", lambda *_: ranked[_[3].__name__])
    found = quantise_gated(exported, tmp_path / "int8.onnx", IMAGES, judge)
    assert found.kept == {"stem": "held-out accuracy"}
    why = "held-out accuracy"
    assert found.stored == {"chain.2": "slow", "head": why, "chain.0": why, "hidden": why}  # one, two more
    assert (found.before, found.after) == (90.0, 89.5)
    assert in_eight_bits(found.path) == {"chain.1"}
    assert in_float32(found.path) == {"stem"}


def test_sensitivity_is_that_of_one_layer_alone(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = {"stem": 1.0, "head": 3.0, "hidden": 2.0}
    monkeypatch.setattr(
        quantise_module, "_answers", lambda path, _: np.array([change.get(path.name, 0.0)], dtype=np.float32)
    )
    ranked = quantise_module._by_sensitivity(exported, IMAGES, list(change), lambda *_: Path(_[3]))
    assert ranked == ["head", "hidden", "stem"]


def test_a_layer_alone(exported: Path, tmp_path: Path) -> None:
    computed = quantise_module._computed_alone(exported, tmp_path / "computed.onnx", IMAGES, "chain.1")
    assert in_eight_bits(computed) == {"chain.1"}
    assert in_float32(computed) == set(LAYERS) - {"chain.1"}
    stored = quantise_module._stored_alone(exported, tmp_path / "stored.onnx", IMAGES, "stem")
    assert in_eight_bits(stored) == set()
    assert in_float32(stored) == set(LAYERS) - {"stem"}


@pytest.mark.parametrize("gains", [True, False])
def test_layers_that_are_slower_are_stored_if_the_network_gains(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gains: bool
) -> None:
    even: list[Path] = []

    def times(path: Path, _shape: object) -> dict[str, float]:
        even.append(path)
        return dict.fromkeys(LAYERS, 1.0) | ({} if path == even[0] else {"stem": 3.0, "head": 1.04})

    monkeypatch.setattr(quantise_module, "_times", times)
    monkeypatch.setattr(quantise_module, "_gains", lambda *_: gains)
    found = quantise_gated(exported, tmp_path / "int8.onnx", IMAGES, lambda _: 50.0)
    assert found.stored == ({"stem": "8 bits are 3.00 times as slow"} if gains else {})
    assert found.kept == {}
    assert in_eight_bits(found.path) == set(LAYERS) - set(found.stored)
    assert in_float32(found.path) == set()


def test_for_bytes_all_layers_are_stored_but_tiny_ones(exported: Path, tmp_path: Path) -> None:
    found = quantise_gated(exported, tmp_path / "int8.onnx", IMAGES, lambda _: 50.0, goal="bytes")
    tiny = {"chain.0", "chain.2", "hidden", "head"}  # 32, 32, 48 and 24 weights
    assert found.kept == dict.fromkeys(["chain.0", "chain.2", "hidden", "head"], "has few weights")
    assert found.stored == {"stem": "for bytes", "chain.1": "for bytes"}
    assert in_float32(found.path) == tiny
    assert in_eight_bits(found.path) == set()


def test_no_images(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no images to measure the ranges"):
        quantise(exported, tmp_path / "int8.onnx", IMAGES[:0])
    with pytest.raises(ExportError, match="ONNX Runtime cannot quantise"):
        quantise(exported, tmp_path / "int8.onnx", IMAGES[:, :, :3, :0])
    assert not (tmp_path / "int8.onnx").exists()
