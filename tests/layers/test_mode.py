from __future__ import annotations

import pytest
from torch import nn

from tenfold.layers.mode import in_mode


@pytest.mark.parametrize("training", [True, False])
def test_every_flag_is_restored_even_after_an_error(training):
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Dropout().eval(), nn.ReLU()))
    net[1].training = False
    before = [m.training for m in net.modules()]
    assert len(set(before)) == 2

    def fail():
        with in_mode(net, training=training) as inside:
            assert inside is net
            assert {m.training for m in net.modules()} == {training}
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [m.training for m in net.modules()] == before
