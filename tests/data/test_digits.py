from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from tenfold.data.digits import read_digits


def test_a_third_is_held_out_and_every_digit_is_used_once():
    train, test = read_digits()
    assert (len(train), len(test)) == (1198, 599)
    scaled = torch.cat([train.images, test.images]).flatten(1)
    originals = torch.from_numpy(load_digits().data).mul(255 / 16).round().byte()
    assert sorted(map(tuple, scaled.tolist())) == sorted(map(tuple, originals.tolist()))
    assert int(scaled.max()) == 255
    assert int(scaled.min()) == 0


def test_the_split_is_stratified_and_always_the_same():
    train, test = read_digits()
    share = test.labels.bincount() / (train.labels.bincount() + test.labels.bincount())
    assert (share - 1 / 3).abs().max() < 0.01  # classes of about 180: one image is 0.006
    assert torch.equal(test.images, read_digits()[1].images)


def test_labels_belong_to_their_images():
    bunch = load_digits()
    label_of = dict(zip(map(tuple, bunch.data.tolist()), bunch.target.tolist(), strict=True))
    train, _ = read_digits()
    sixteenths = train.images.flatten(1).double().mul(16 / 255).round()
    assert [label_of[tuple(row)] for row in sixteenths.tolist()] == train.labels.tolist()
