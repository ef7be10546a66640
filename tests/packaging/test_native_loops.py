"""Every operator and every way of laying out channels, compiled and compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from native_builds import Tensor, compiled, expected, image_of
from native_cases import CASES, CONVOLUTIONS

Functions = dict[str, Callable[[Tensor, Tensor], None]]

SAME = 2e-6
"""Of the largest number of the answer: up to a thousand products are summed in another order."""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Functions:
    return compiled(CASES, tmp_path_factory.mktemp("native"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_loops_compute_what_onnx_runtime_computes(functions: Functions, name: str) -> None:
    model = CASES[name]
    for seed in (0, 1):  # the second time, memory holds what the first one left
        image = image_of(model, seed)
        wanted = expected(model, image)
        met = np.full(wanted.shape, np.nan, np.float32)
        functions[name](image, met)
        np.testing.assert_allclose(met, wanted, rtol=0, atol=SAME * np.abs(wanted).max())


def test_one_convolution_of_each_kind_of_loop(tmp_path: Path) -> None:
    names = ("3x3", "groups side by side")
    chosen = {name: CONVOLUTIONS[name] for name in names}
    for name, function in compiled(chosen, tmp_path).items():
        wanted = expected(chosen[name], image_of(chosen[name]))
        met = np.full(wanted.shape, np.nan, np.float32)
        function(image_of(chosen[name]), met)
        np.testing.assert_allclose(met, wanted, rtol=0, atol=SAME * np.abs(wanted).max())
