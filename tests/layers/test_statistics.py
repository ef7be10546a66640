from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odd_layers import Around, seeded
from tenfold.algebra.metric import Metric
from tenfold.layers.describe import read_spec
from tenfold.layers.statistics import Moments, moments

# The network runs in float32: some hundred roundings of 6e-8, of the largest entry.
ROUNDING = 1e-5

LAYERS = {
    "plain": lambda: nn.Conv2d(4, 5, 3),
    "padding": lambda: nn.Conv2d(4, 5, 3, padding=(2, 1), bias=False),
    "stride": lambda: nn.Conv2d(4, 5, 3, stride=(2, 1), padding=1),
    "dilation": lambda: nn.Conv2d(4, 5, (3, 2), dilation=(1, 2), padding=1),
    "reflect": lambda: nn.Conv2d(4, 5, 3, padding=(1, 2), padding_mode="reflect"),
    "circular": lambda: nn.Conv2d(4, 5, 3, padding=1, padding_mode="circular"),
    "same": lambda: nn.Conv2d(4, 5, (3, 1), padding="same"),
    "same, even": lambda: nn.Conv2d(4, 5, (2, 3), padding="same"),
    "same, replicate": lambda: nn.Conv2d(4, 5, 3, padding="same", padding_mode="replicate"),
    "pointwise": lambda: nn.Conv2d(4, 5, 1, stride=2),
    "grouped": lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2),
}


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def second_moment_between_offsets(layer: nn.Conv2d, given: Tensor) -> Tensor:
    """S with trace k, offset by offset, from slices of the padded input."""
    spec = read_spec(layer)
    if spec.padding == "same":
        total = [d * (k - 1) for d, k in zip(spec.dilation, spec.kernel, strict=True)]
        sides = [(t // 2, t - t // 2) for t in total]
    else:
        sides = [(p, p) for p in spec.padding]
    mode = "constant" if spec.padding_mode == "zeros" else spec.padding_mode
    padded = F.pad(given, (*sides[1], *sides[0]), mode=mode)
    height, width = layer(given.to(layer.weight)).shape[2:]
    seen = []
    for i, j in product(range(spec.kernel[0]), range(spec.kernel[1])):
        top, left = i * spec.dilation[0], j * spec.dilation[1]
        rows = slice(top, top + spec.stride[0] * (height - 1) + 1, spec.stride[0])
        columns = slice(left, left + spec.stride[1] * (width - 1) + 1, spec.stride[1])
        seen.append(padded[:, :, rows, columns])
    gram = torch.tensor([[float((a * b).sum()) for b in seen] for a in seen], dtype=torch.float64)
    return gram * len(seen) / gram.trace()


def rows_of(tensor: Tensor) -> Tensor:
    """(positions, channels), over all images."""
    return tensor.movedim(1, -1).reshape(-1, tensor.shape[1]) if tensor.dim() == 4 else tensor


def brute_force(net: nn.Module, batches: list[Tensor], *, seed: int) -> Moments:
    """The definitions, in float64, call by call."""
    net = copy.deepcopy(net).double().eval()
    generator = torch.Generator().manual_seed(seed)
    calls: list[tuple[Tensor, Tensor]] = []
    net.layer.register_forward_hook(lambda _m, args, output: calls.append((args[0], output)))
    out, given = 0, []
    for batch in batches:
        calls.clear()
        logits = net(batch.double())
        direction = torch.randn(logits.shape, generator=generator).double()
        direction -= direction.mean(1, keepdim=True)
        outputs = [output for _, output in calls]
        for gradient in torch.autograd.grad((logits * direction).sum(), outputs):
            out = out + torch.einsum("no,np->op", rows_of(gradient), rows_of(gradient))
        given += [a.detach() for a, _ in calls]
    rows = torch.cat([rows_of(a) for a in given])
    inp = torch.einsum("ni,nj->ij", rows, rows) / len(rows)
    n = sum(len(batch) for batch in batches)
    if isinstance(net.layer, nn.Linear):
        return Moments(out / n, inp, torch.ones(1, 1, dtype=torch.float64))
    net.layer._forward_hooks.clear()
    return Moments(out / n, inp, second_moment_between_offsets(net.layer, torch.cat(given)))


def agree(met: Moments, expected: Moments) -> None:
    for name in ("out", "inp", "offsets"):
        one, other = getattr(met, name), getattr(expected, name)
        assert one.dtype == torch.float64
        assert float((one - other).abs().max()) <= ROUNDING * float(other.abs().max()), name


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_moments_are_what_they_are_defined_as(name):
    net = seeded(lambda: Around(LAYERS[name]()))
    batches = [images(5, 3, 7, 6, seed=1), images(3, 3, 7, 6, seed=2)]
    agree(moments(net, batches, ["layer"], seed=3)["layer"], brute_force(net, batches, seed=3))


def test_of_too_many_channels_only_the_powers_are_gathered(monkeypatch):
    net = seeded(lambda: Around(nn.Conv2d(8, 12, 3)))
    batches = [images(5, 3, 7, 6, seed=1), images(3, 3, 7, 6, seed=2)]
    monkeypatch.setattr("tenfold.layers.statistics.MOST_CORRELATED", 10)
    met, expected = moments(net, batches, ["layer"], seed=3)["layer"], brute_force(net, batches, seed=3)
    agree(met, replace(expected, out=expected.out.diagonal()))
    assert met.out.shape == (12,)


class Twice(nn.Module):
    """One linear layer, called twice in each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(torch.tanh(self.layer(x.flatten(1))))))


def test_two_calls_of_a_linear_layer_add_up():
    net, batches = seeded(Twice), [images(9, 6, 1, 1), images(4, 6, 1, 1, seed=1)]
    agree(moments(net, batches, ["layer"])["layer"], brute_force(net, batches, seed=0))


class Keyword(Twice):
    """Calls its layer by keyword, and changes its input in place first."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(input=x.mul_(2).flatten(1)))


def test_call_by_keyword_and_input_changed_in_place():
    net, batch = seeded(Keyword), images(8, 6, 1, 1)
    kept = batch.clone()
    found = moments(net, [batch], ["layer"])["layer"]
    assert torch.equal(batch, kept)
    rows = 2 * kept.flatten(1).double()
    torch.testing.assert_close(found.inp, rows.T @ rows / 8, rtol=ROUNDING, atol=ROUNDING)
    assert float(found.out.trace()) > 0


def test_a_frozen_network_has_the_same_moments_and_stays_frozen():
    net = seeded(lambda: Around(nn.Conv2d(4, 5, 3)))
    free = moments(net, [images(4, 3, 6, 6)], ["layer"])["layer"]
    net.stem.requires_grad_(False)
    net.layer.requires_grad_(False)
    frozen = moments(net, [images(4, 3, 6, 6)], ["layer"])["layer"]
    assert torch.equal(free.out, frozen.out)
    assert torch.equal(free.inp, frozen.inp)
    assert {name for name, p in net.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    assert all(p.grad is None for p in net.parameters())


def test_a_frozen_layer_whose_output_is_changed_in_place():
    def network(*, inplace: bool) -> nn.Module:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=inplace), nn.Flatten(), nn.Linear(64, 3))
        return net.requires_grad_(False)

    one, other = (
        moments(seeded(lambda flag=flag: network(inplace=flag)), [images(4, 3, 6, 6)], ["0"])["0"]
        for flag in (False, True)
    )
    assert float(one.out.trace()) > 0
    assert torch.equal(one.out, other.out)


class Unreached(Around):
    """The layer's output is thrown away, or computed without gradients."""

    used = False

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.stem(x))
        with torch.set_grad_enabled(not self.used):
            y = self.layer(x).mean((2, 3))
        return self.head(y if self.used else y.detach() * 0 + x.mean((2, 3)).sum(1, keepdim=True))


@pytest.mark.parametrize("used", [False, True])
def test_a_layer_that_no_gradient_reaches_has_zero_out(used):
    net = seeded(lambda: Unreached(nn.Conv2d(4, 5, 3)))
    net.used = used
    found = moments(net, [images(4, 3, 6, 6)], ["layer", "head"])
    assert found["layer"].out.eq(0).all()
    assert float(found["layer"].inp.trace()) > 0
    assert float(found["head"].out.trace()) > 0


def test_a_network_that_gradients_cannot_enter():
    class Detached(Around):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(x)

    assert moments(Detached(nn.Conv2d(4, 5, 3)), [images(2, 3, 6, 6)], ["layer"])["layer"].out.eq(0).all()


def test_an_input_of_zeros_correlates_no_offsets():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    found = moments(net, [torch.zeros(2, 1, 4, 4)], ["0"])["0"]
    assert torch.equal(found.offsets, torch.eye(9, dtype=torch.float64))
    assert found.inp.eq(0).all()


def test_the_network_is_left_as_it_was_also_after_an_error():
    net = seeded(lambda: Around(nn.Conv2d(4, 5, 3))).train()
    net.stem = nn.Sequential(net.stem, nn.BatchNorm2d(4))
    net.stem.eval()
    before = copy.deepcopy(net.state_dict())

    def batches():
        yield images(2, 3, 6, 6)
        raise KeyError

    for given in ([images(2, 3, 6, 6)], batches()):
        with contextlib.suppress(KeyError):
            moments(net, given, ["layer"])
        assert net.training
        assert not net.stem.training
        assert not net.layer._forward_hooks
        assert all(p.requires_grad for p in net.parameters())
        assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_same_seed_same_bits():
    net, batch = seeded(lambda: Around(nn.Conv2d(4, 5, 3))), images(4, 3, 6, 6)
    one, two, other = (moments(net, [batch], ["layer"], seed=seed)["layer"].out for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_global_generator_is_left_alone():
    net, state = seeded(lambda: Around(nn.Conv2d(4, 5, 3))), torch.get_rng_state()
    moments(net, [images(2, 3, 6, 6)], ["layer"])
    assert torch.equal(state, torch.get_rng_state())


def centred_error(net: nn.Module, changed: nn.Module, x: Tensor) -> float:
    """1/2 E ||(logits' change, centred over the classes)||^2, which is what a softmax sees of it."""
    with torch.no_grad():
        error = changed(x).double() - net(x).double()
    return 0.5 * float((error - error.mean(1, keepdim=True)).square().sum(1).mean())


# Where the network is linear and its inputs are independent the Kronecker factors are exact, and only the
# sampling of B is not: a mean of n squares strays by sqrt(2 / n) of itself. Four of these.
SAMPLES = 4000
SAMPLING = 4 * (2 / SAMPLES) ** 0.5


@pytest.mark.parametrize("name", ["0", "1"])
def test_predicted_rise_of_a_linear_network_is_the_actual_one(name):
    net = seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4)))
    mixed = images(SAMPLES, 6) @ images(6, 6, seed=1) + 0.5  # neither white nor centred: A must be used
    found = moments(net, mixed.split(500), [name])[name]
    layer = net.get_submodule(name)
    change = images(*layer.weight.shape, seed=2)
    changed = copy.deepcopy(net)
    changed.get_submodule(name).weight.data += change
    metric = Metric.from_moments(found.out, found.inp, found.offsets, (1, 1))
    predicted = metric.cost(change.double()[:, :, None, None])
    assert predicted == pytest.approx(centred_error(net, changed, mixed), rel=SAMPLING)


def test_predicted_rise_of_a_convolution_over_white_pixels_is_the_actual_one():
    # Windows that do not overlap see independent pixels.
    net = seeded(lambda: nn.Sequential(nn.Conv2d(2, 4, 3, stride=3), nn.Flatten(), nn.Linear(16, 5)))
    white = images(SAMPLES, 2, 6, 6)
    found = moments(net, white.split(16), ["0"])["0"]
    change = images(4, 2, 3, 3, seed=2)
    changed = copy.deepcopy(net)
    changed[0].weight.data += change
    metric = Metric.from_moments(found.out, found.inp, found.offsets, (3, 3))
    assert metric.cost(change.double()) == pytest.approx(centred_error(net, changed, white), rel=SAMPLING)
