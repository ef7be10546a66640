from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.train.evaluate import Evaluation, evaluate

RAW = Preprocessing((0.0,), (1 / 255,))


class Table(nn.Module):
    """Logits that an image's only pixel looks up."""

    def __init__(self, logits: list[list[float]], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=dtype))
        self.sizes: list[int] = []
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.sizes.append(len(x))
        return self.drop(self.logits[x.flatten().round().long()])


def data(pixels: list[int], labels: list[int]) -> Dataset:
    images = torch.tensor(pixels, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return Dataset(images, torch.tensor(labels), ("a", "b", "c"))


LOGITS = [[0.0, 0.0, math.log(2)], [math.log(6), math.log(3), 0.0]]


@pytest.mark.parametrize("batch_size", [1, 2, 250])
def test_hand_count(batch_size):
    # Softmax of the rows: (1/4, 1/4, 1/2) and (6/10, 3/10, 1/10).
    net = Table(LOGITS).train()
    found = evaluate(net, data([0, 0, 1, 1, 1], [2, 0, 0, 1, 0]), RAW, batch_size=batch_size)
    loss = -(math.log(1 / 2) + math.log(1 / 4) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 5
    assert found.accuracy == 60.0
    assert found.loss == pytest.approx(loss, rel=1e-6)  # float32
    assert isinstance(found, Evaluation)
    assert sum(net.sizes) == 5
    assert max(net.sizes) == min(batch_size, 5)


@pytest.mark.parametrize("sure", [0.5, 1.0, 4.0])
def test_calibrated_is_the_loss_of_who_is_as_sure_as_right(sure):
    # Three of four are right: the best answer is 3/4, whose cross-entropy is the entropy of (3/4, 1/4).
    found = evaluate(Table([[sure, 0.0]]), data([0, 0, 0, 0], [0, 0, 0, 1]), RAW)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    # The curve over the logarithm of T bends by less than 1, and a step is 0.043.
    assert entropy <= found.calibrated <= entropy + 0.043**2 / 8
    assert found.loss == pytest.approx(math.log1p(math.exp(-sure)) + sure / 4, rel=1e-6)


def test_few_large_images_at_a_time():
    sizes: list[int] = []

    class Counting(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            return x.mean((2, 3))

    many = Dataset(torch.zeros(9, 3, 128, 256, dtype=torch.uint8), torch.zeros(9).long(), ("a", "b", "c"))
    rgb = Preprocessing((0.0,) * 3, (1.0,) * 3)
    assert evaluate(Counting(), many, rgb, batch_size=32).accuracy == 100
    assert sizes == [4, 4, 1]  # an eighth of 32: each is as large as eight of 64x64


def test_the_network_is_left_in_its_mode():
    net = Table(LOGITS).train()
    net.drop.eval()
    evaluate(net, data([0], [0]), RAW)
    assert net.training
    assert not net.drop.training


def test_preprocessing_is_applied():
    double = Preprocessing((0.0,), (2 / 255,))  # halves the pixel
    assert evaluate(Table(LOGITS), data([2], [0]), double).accuracy == 100.0


def test_half_precision_logits_are_summed_in_float32():
    found = evaluate(Table(LOGITS, torch.bfloat16), data([0] * 400, [2] * 400), RAW)
    stored = float(torch.tensor(math.log(2)).bfloat16())
    assert found.loss == pytest.approx(math.log(2 + math.exp(stored)) - stored, rel=1e-6)
