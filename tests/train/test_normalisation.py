from __future__ import annotations

import pytest
import torch
from torch import nn

from odd_layers import seeded
from tenfold.train.normalisation import batch_norms, re_estimate_


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.Dropout(0.5),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Flatten(),
        nn.BatchNorm1d(16, momentum=None),
    )


BATCHES = [torch.randn(n, 2, 4, 4, generator=torch.Generator().manual_seed(n)) * n + 1 for n in (5, 3, 8)]


def test_statistics_are_plain_averages_over_the_batches():
    net = seeded(network).eval()
    net[1].running_mean += 7
    net[1].num_batches_tracked += 100
    re_estimate_(net, iter(BATCHES))
    with torch.no_grad():
        seen = [net[0](batch) for batch in BATCHES]
    means = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variances = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(net[1].running_mean, means)
    torch.testing.assert_close(net[1].running_var, variances)


def test_a_later_norm_sees_batches_normalised_by_their_own_statistics():
    net = seeded(network)
    re_estimate_(net, BATCHES)
    with torch.no_grad():
        middle = [nn.functional.batch_norm(net[0](b), None, None, training=True) for b in BATCHES]
        flat = [nn.functional.batch_norm(x, None, None, training=True).flatten(1) for x in middle]
    # The dropout between them rests.
    torch.testing.assert_close(net[5].running_mean, torch.stack([x.mean(0) for x in flat]).mean(0))
    torch.testing.assert_close(net[5].running_var, torch.stack([x.var(0) for x in flat]).mean(0))


@pytest.mark.parametrize("fails", [False, True])
def test_momenta_and_flags_are_restored_also_after_an_error(fails):
    net = seeded(network).train()
    net[5].eval()
    parameters = [p.detach().clone() for p in net.parameters()]
    if fails:
        with pytest.raises(RuntimeError):
            re_estimate_(net, [*BATCHES, torch.zeros(1, 3, 4, 4)])
    else:
        re_estimate_(net, BATCHES)
    assert (net[1].momentum, net[3].momentum, net[5].momentum) == (0.3, 0.1, None)
    assert [m.training for m in net] == [True, True, True, True, True, False]
    assert all(torch.equal(a, b) for a, b in zip(parameters, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())


def test_only_norms_that_keep_statistics_are_found():
    net = network()
    assert batch_norms(net) == [net[1], net[5]]


def test_a_network_without_norms_is_left_alone():
    net = seeded(lambda: nn.Linear(3, 3))
    before = net.weight.clone()
    re_estimate_(net, [torch.ones(2, 3)])
    assert torch.equal(net.weight, before)
