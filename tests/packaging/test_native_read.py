"""What the native package says about networks that it cannot compile, and how it lays out those it can."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from native_cases import CASES, Builder
from packages import write_run
from tenfold.core.errors import ExportError
from tenfold.packaging.contents import Contents
from tenfold.packaging.native import build_native
from tenfold.packaging.native_fuse import fuse
from tenfold.packaging.native_layout import arrange
from tenfold.packaging.native_memory import places
from tenfold.packaging.native_read import read
from tenfold.packaging.native_steps import Combine, Convolve, Take
from tenfold.packaging.native_tiles import chunks, outputs_at_once, pixels_at_once
from tenfold.packaging.options import PackOptions

ACCUMULATORS = 12  # as in kernels.h

REFUSED = {
    "operator": (
        Builder().node("LpNormalization", ["x"], "y"),
        "node 'node y' .LpNormalization.: the operator",
    ),
    "reshape": (
        Builder().constant("s", [0, 3, 3, -1], np.int64).node("Reshape", ["x", "s"], "y"),
        r"node 'node y' .Reshape.: from the size \(1, 9, 5, 5\) to",
    ),
    "weights that depend on the image": (
        Builder().conv("x", "w", 9, 4).node("Conv", ["x", "w"], "y"),
        "input 1 .'w'. depends on the image",
    ),
    "axes": (
        Builder().constant("a", [3], np.int64).node("ReduceMean", ["x", "a"], "y"),
        r"axes \[3\] of a value of the size \(1, 9, 5, 5\)",
    ),
    "constant of another shape": (
        Builder().constant("c", np.ones((5, 5))).node("Mul", ["x", "c"], "y"),
        r"a constant of the shape \(5, 5\)",
    ),
    "concatenated rows": (Builder().node("Concat", ["x", "x"], "y", axis=2), "only channels"),
    "backwards": (
        Builder()
        .constant("from", [-1], np.int64)
        .constant("to", [-9], np.int64)
        .constant("axes", [3], np.int64)
        .constant("steps", [-1], np.int64)
        .node("Slice", ["x", "from", "to", "axes", "steps"], "y"),
        "a step below 1",
    ),
    "mirrored margin": (
        Builder()
        .constant("p", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
        .node("Pad", ["x", "p"], "y", mode="reflect"),
        "only padding of all axes with a constant",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_node_that_is_not_covered_is_named_with_what_is_wrong_and_what_to_do(case: str) -> None:
    made, words = REFUSED[case]
    with pytest.raises(ExportError, match=f"{words}.*pack for the desktop"):
        read(made.model(9, 5, 5))


def test_bytes_that_are_no_network_and_networks_of_two_images() -> None:
    with pytest.raises(ExportError, match="no ONNX file"):
        read(b"\x00\xff not a network")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3, 4]) for name in ("a", "b", "c")
    ]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "two", values[:2], values[2:])
    with pytest.raises(ExportError, match="met 2 inputs and 1 outputs"):
        read(helper.make_model(graph).SerializeToString())


def test_without_the_compiler_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = Contents.of(write_run(tmp_path / "run"))
    (tmp_path / "out").mkdir()
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(ExportError, match=r"^a native package needs .* pip install 'tenfold\[native\]'$"):
        build_native(contents, tmp_path / "out", PackOptions())


def test_option_a_becomes_one_step_and_an_addition_goes_into_the_convolution() -> None:
    (taken,) = fuse(read(CASES["option A"])).steps
    assert isinstance(taken, Take)
    assert (taken.start, taken.step) == ((-4, 0, 0), (1, 2, 2))
    assert (taken.low, taken.high) == ((4, 0, 0), (13, 3, 3))
    first, second = fuse(read(CASES["relu, addition, relu"])).steps
    assert isinstance(first, Convolve)
    assert isinstance(second, Convolve)
    assert (second.residual, second.activation.function) == (first.output, "RELU")
    assert isinstance(fuse(read(CASES["a convolution added to itself"])).steps[1], Combine)


@pytest.mark.parametrize("name", CASES)
def test_values_that_are_needed_at_once_lie_apart(name: str) -> None:
    network, layouts = arrange(fuse(read(CASES[name])))
    found, floats = places(network, layouts)
    steps = network.steps
    made = {network.image: 0} | {step.output: n for n, step in enumerate(steps, start=1)}
    last = {
        value: max([n for n, step in enumerate(steps, 1) if value in step.inputs], default=0)
        for value in made
    }
    last[network.answer] = len(steps) + 1
    for now in range(len(steps) + 1):
        alive = [value for value in made if made[value] <= now <= last[value] or made[value] == now]
        spans = sorted(_span(network.shapes[value], found[value]) for value in alive)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert spans[0][0] >= 0
        assert spans[-1][1] <= floats


def _span(shape, place) -> tuple[int, int]:
    """The floats from the first to the last pixel."""
    return place.origin, place.origin + (shape[1] - 1) * place.row + shape[2] * place.layout.pixel


@pytest.mark.parametrize("vectors", [1, 2, 3, 8, 13])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (7, 5), (8, 8), (1, 40), (32, 32)])
def test_tiles_hold_their_sums_in_registers_and_cover_all_channels(
    vectors: int, size: tuple[int, int]
) -> None:
    cuts = chunks(vectors, *size)
    assert sum(cut.times * cut.vectors for cut in cuts) == vectors
    for cut in cuts:
        assert 1 <= cut.vectors * cut.height * cut.width <= ACCUMULATORS
        assert cut.height <= size[0]
        assert cut.width <= size[1]


@pytest.mark.parametrize("outputs", range(1, 30))
def test_outputs_of_groups_come_in_whole_blocks(outputs: int) -> None:
    block = outputs_at_once(outputs)
    assert outputs % block == 0
    assert 1 <= block * pixels_at_once(block, 100) <= ACCUMULATORS
