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
    return {
        name.partition(".weight")[0] for name, w in weights(path).items() if name.endswith("weight_quantized")
    }


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


def test_accuracy_puts_back_the_layers_that_matter_most(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []

    def judge(path: Path) -> float:
        asked.append(in_eight_bits(path))
        return 90.0 if not asked[-1] else 80.0 if asked[-1] & {"head", "hidden"} else 89.6

    monkeypatch.setattr(quantise_module, "_by_sensitivity", lambda *_: ["head", "stem", "hidden", "chain.0"])
    found = quantise_gated(exported, tmp_path / "int8.onnx", IMAGES, judge, goal="bytes")
    assert list(found.kept) == ["head", "stem", "hidden"]  # one, then two more
    assert set(found.kept.values()) == {"held-out accuracy"}
    assert (found.before, found.after) == (90.0, 89.6)
    assert in_eight_bits(found.path) == {"chain.0", "chain.1", "chain.2"}


def test_sensitivity_is_that_of_one_layer_alone(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = {"stem": 1.0, "head": 3.0, "hidden": 2.0}
    alone: list[str] = []

    def quantised(_source: Path, _out: Path, _few: object, *, keep: list[str]) -> Path:
        (layer,) = set(LAYERS) - set(keep)
        alone.append(layer)
        return Path(layer)

    monkeypatch.setattr(quantise_module, "quantise", quantised)
    monkeypatch.setattr(
        quantise_module, "_answers", lambda path, _: np.array([change.get(path.name, 0.0)], dtype=np.float32)
    )
    assert quantise_module._by_sensitivity(exported, IMAGES, list(change)) == ["head", "hidden", "stem"]
    assert alone == list(change)


@pytest.mark.parametrize("gains", [True, False])
def test_layers_that_are_slower_stay_if_the_network_gains(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gains: bool
) -> None:
    def times(path: Path, _shape: object) -> dict[str, float]:
        return dict.fromkeys(LAYERS, 1.0) | ({} if path == exported else {"chain.1": 3.0, "head": 1.04})

    monkeypatch.setattr(quantise_module, "_times", times)
    monkeypatch.setattr(quantise_module, "_gains", lambda *_: gains)
    found = quantise_gated(exported, tmp_path / "int8.onnx", IMAGES, lambda _: 50.0)
    assert found.kept == ({"chain.1": "8 bits are 3.00 times as slow"} if gains else {})
    assert in_eight_bits(found.path) == set(LAYERS) - set(found.kept)
    whole = quantise_gated(exported, tmp_path / "int8.onnx", IMAGES, lambda _: 50.0, goal="bytes")
    assert whole.kept == {}


def test_no_images(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no images to measure the ranges"):
        quantise(exported, tmp_path / "int8.onnx", IMAGES[:0])
    with pytest.raises(ExportError, match="ONNX Runtime cannot quantise"):
        quantise(exported, tmp_path / "int8.onnx", IMAGES[:, :, :3, :0])
    assert not (tmp_path / "int8.onnx").exists()
