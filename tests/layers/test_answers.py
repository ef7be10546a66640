from __future__ import annotations

from collections import OrderedDict, namedtuple

import torch

from tenfold.layers.answers import tensors


def test_all_tensors_in_order():
    a, b, c, d = (torch.tensor(float(n)) for n in range(4))
    pair = namedtuple("pair", "first second")
    answer = OrderedDict(logits=a, hidden=(b, [c]), last=pair(d, None))
    assert [float(t) for t in tensors(answer)] == [0, 1, 2, 3]


def test_what_is_no_tensor_is_passed_over():
    assert list(tensors(["text", b"bytes", 1.0, None, {}, ()])) == []


def test_a_tensor_is_itself_and_not_its_rows():
    answer = torch.zeros(3, 2)
    assert next(iter(tensors(answer))) is answer
    assert len(list(tensors(answer))) == 1
