from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from odd_layers import seeded
from tenfold.compression.oneshot import decompose_model
from tenfold.core.errors import NonFiniteError
from tenfold.core.plan import Choice, Plan
from tenfold.data.dataset import Dataset, Preprocessing
from tenfold.data.digits import read_digits
from tenfold.train import supervised
from tenfold.train.batches import Augmentation
from tenfold.train.evaluate import evaluate
from tenfold.train.execution import Execution
from tenfold.train.loop import Row, Step
from tenfold.train.running import Running
from tenfold.train.supervised import Training, train_

GREY = Preprocessing((0.3,), (0.35,))
NONE = Augmentation(padding=0, flip=False)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12 * 16, 10)
    )


@pytest.fixture(scope="module")
def digits() -> tuple[Dataset, Dataset]:
    return read_digits()


@pytest.fixture(scope="module")
def few(digits) -> Dataset:
    return digits[0].subset(torch.arange(60))


def run(model: nn.Module, data: Dataset, seed: int = 0, **changes) -> list[Step]:
    options = {
        "settings": Training(epochs=2, batch_size=25, rate=0.05),
        "augmentation": Augmentation(padding=1, flip=False),
        "running": Running(seed),
        **changes,
    }
    return steps_of(train_(model, data, GREY, **options))


def steps_of(rows: Iterator[Row]) -> list[Step]:
    return [row for row in rows if isinstance(row, Step)]


def bits(net: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in net.state_dict().values()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_learns_digits(digits):
    train, test = digits
    net = seeded(network)
    before = evaluate(net, test, GREY)
    states = run(net, train.subset(torch.arange(600)), settings=Training(epochs=8, batch_size=32, rate=0.1))
    after = evaluate(net, test, GREY)
    assert before.accuracy < 30
    assert after.accuracy > 90
    assert sum(s.loss for s in states[-18:]) < sum(s.loss for s in states[:18]) / 4


@pytest.mark.usefixtures("fixed_form")
def test_one_state_a_step(few):
    net, sizes = seeded(network), []
    net[4].register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    states = run(net, few, settings=Training(epochs=3, batch_size=25, rate=0.05))
    assert sizes == [25] * 6  # the ten images that are left over wait for another epoch
    assert [s.step for s in states] == [1, 2, 3, 4, 5, 6]
    assert 0.04 < max(s.rate for s in states) <= 0.05
    assert min(s.rate for s in states) < 0.05 / 20


@pytest.mark.usefixtures("fixed_form")
def test_same_seed_same_bits(few):
    found = []
    for seed in (1, 1, 2):
        net = seeded(network)
        found.append((run(net, few, seed=seed), bits(net)))
    assert found[0][0] == found[1][0]
    assert equal(found[0][1], found[1][1])
    assert not equal(found[0][1], found[2][1])


@pytest.mark.usefixtures("fixed_form")
def test_the_labels_are_what_is_learned(few):
    net, other = seeded(network), seeded(network)
    run(net, few)
    run(other, Dataset(few.images, few.labels.flip(0), few.classes))
    assert not equal(bits(net), bits(other))


def by_hand(net: nn.Module, data: Dataset, settings: Training, rates: list[float]) -> None:
    """SGD with Nesterov momentum and weight decay over the whole set at once."""
    speeds = [torch.zeros_like(p) for p in net.parameters()]
    for rate in rates:
        loss = functional.cross_entropy(net(GREY.apply(data.images)), data.labels)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        total = float(torch.stack([g.norm() for g in gradients]).norm())
        with torch.no_grad():
            for p, gradient, speed in zip(net.parameters(), gradients, speeds, strict=True):
                slope = gradient * min(1.0, 5.0 / total) + settings.weight_decay * p
                speed.mul_(settings.momentum).add_(slope)
                p.sub_(rate * (slope + settings.momentum * speed))


@pytest.mark.parametrize(
    "settings",
    [
        Training(epochs=4, batch_size=999, rate=0.1, momentum=0.7, weight_decay=0.1),
        Training(epochs=4, batch_size=999, rate=0.1, momentum=0.0, weight_decay=0.0),
    ],
)
def test_every_setting_reaches_the_optimiser(few, settings):
    net, reference = seeded(network), seeded(network)
    states = run(net, few, settings=settings, augmentation=NONE)
    assert len(states) == 4
    by_hand(reference, few, settings, [s.rate for s in states])
    for one, other in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)  # the order of float32 sums differs


def test_no_epochs_change_nothing(few):
    net = seeded(network)
    before = bits(net)
    assert run(net, few, settings=Training(epochs=0)) == []
    assert equal(bits(net), before)


def test_nan_stops_it_by_step(few):
    net = seeded(network)
    with torch.no_grad():
        net[4].bias[0] = float("nan")
    with pytest.raises(NonFiniteError, match="step 1: the loss is nan, also at a rate of .*; lower the rate"):
        run(net, few)


def test_chains_are_trained_and_stand_there_afterwards(few, monkeypatch):
    net = decompose_model(
        seeded(network).eval(), Plan({"4": Choice("svd", (4,))}), GREY.apply(few.images[:1])
    )
    monkeypatch.setattr("tenfold.train.execution.faster_rebuilt", lambda *_args, **_options: ["4"])
    before, objects = copy.deepcopy(net), {n: id(m) for n, m in net.named_modules()}
    steps = train_(net, few, GREY, settings=Training(epochs=2), augmentation=NONE)
    next(steps)
    assert net.training
    steps.close()
    assert {n: id(m) for n, m in net.named_modules()} == objects
    assert not net.training
    assert not torch.equal(net[4][0].weight, before[4][0].weight)


class Knowing(nn.Module):
    """Answers with the logarithm of what it is shown, so that its loss says how labels and images differ."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        chances = images.flatten(1)
        self.seen.append(chances.detach())
        return chances.clamp_min(1e-12).log() + self.shift


@pytest.mark.parametrize("mixed", [0.0, 0.5, 1.0])
def test_labels_are_blended_as_their_images_are(mixed):
    labels = torch.arange(600) % 2
    images = (255 * functional.one_hot(labels, 2)).to(torch.uint8).view(600, 2, 1, 1)
    settings = Training(epochs=1, batch_size=600, rate=1e-9, mixed=mixed, form="chain", precision="float32")
    shown = Preprocessing((0.0, 0.0), (1.0, 1.0))
    data, net = Dataset(images, labels, ("a", "b")), Knowing()
    (step,) = steps_of(train_(net, data, shown, settings=settings, augmentation=NONE))
    (chances,) = net.seen
    entropy = torch.special.entr(chances).sum(1)
    assert step.loss == pytest.approx(float(entropy.mean()), abs=1e-5)  # float32 logarithms of 600 images
    # Half of the blends are with an image of the other class; 5 deviations of a binomial count.
    share = float((entropy > 0).float().mean())
    assert share == pytest.approx(mixed / 2, abs=5 * (0.25 / 600) ** 0.5 if mixed else 0)


@pytest.mark.usefixtures("fixed_form")
def test_all_distillation_learns_the_teacher_and_not_the_labels(few):
    def trained(labels: Tensor) -> nn.Module:
        net = seeded(network)
        settings = Training(epochs=2, batch_size=25, rate=0.05, distillation=1.0)
        run(net, Dataset(few.images, labels, few.classes), settings=settings, teacher=teacher)
        return net

    teacher = seeded(network)
    run(teacher, few, settings=Training(epochs=4, batch_size=25, rate=0.1))
    before = bits(teacher)
    assert equal(bits(trained(few.labels)), bits(trained(few.labels.flip(0))))
    assert equal(bits(teacher), before)


def test_smoothing_and_distillation_are_the_formula(few):
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 0])
    settings = Training(smoothing=0.2, distillation=0.3, temperature=2.0, precision="float32")
    target = supervised._wanted(_Says(wanted), logits, settings, None)(logits)
    found = supervised._loss(nn.Identity(), target, logits, labels, settings)
    log_p, p = logits.log_softmax(1), (wanted / 2).softmax(1)
    smooth = torch.nn.functional.one_hot(labels, 4) * 0.8 + 0.05
    entropy = -(smooth * log_p).sum(1).mean()
    divergence = (p * (p.log() - (logits / 2).log_softmax(1))).sum(1).mean()
    torch.testing.assert_close(found, 0.7 * entropy + 0.3 * 4 * divergence)


def test_a_mirrored_teacher_answers_the_mean_of_both_ways():
    images = torch.randn(5, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    settings = Training(distillation=1.0, temperature=2.0, mirrored=True, precision="float32")
    target = supervised._wanted(nn.Flatten(), images, settings, None)(images)
    found = supervised._loss(nn.Flatten(), target, images, torch.full((5, 4), 0.25), settings)
    logits = images.flatten(1)
    wanted = ((logits + logits.flip(1)) / 2 / 2).softmax(1)
    divergence = (wanted * (wanted.log() - (logits / 2).log_softmax(1))).sum(1).mean()
    torch.testing.assert_close(found, 4 * divergence)


@pytest.mark.usefixtures("fixed_form")
def test_a_teacher_of_images_that_are_not_mirrored_is_not_mirrored(few):
    def trained(*, mirrored: bool, flip: bool) -> list[Tensor]:
        net = seeded(network)
        settings = Training(epochs=1, batch_size=25, rate=0.05, distillation=1.0, mirrored=mirrored)
        run(net, few, settings=settings, teacher=teacher, augmentation=Augmentation(padding=1, flip=flip))
        return bits(net)

    teacher = seeded(network)
    run(teacher, few)
    assert equal(trained(mirrored=True, flip=False), trained(mirrored=False, flip=False))
    assert not equal(trained(mirrored=True, flip=True), trained(mirrored=False, flip=True))


@pytest.mark.parametrize(("student", "teacher"), [(False, True), (True, False)])
def test_each_network_computes_in_the_precision_chosen_for_it(monkeypatch, few, student, teacher):
    def noting(seen: set[tuple[bool, torch.dtype]]) -> nn.Module:
        net = seeded(network)
        net.register_forward_hook(
            lambda _module, _given, answer: seen.add((torch.is_autocast_enabled("cpu"), answer.dtype))
        )
        return net

    monkeypatch.setattr(supervised, "choose_execution", lambda *_, **__: Execution(bfloat16=student))
    monkeypatch.setattr(supervised, "answers_in_bfloat16", lambda *_, **__: teacher)
    trained, taught = set(), set()
    run(noting(trained), few, settings=Training(epochs=1, distillation=0.5), teacher=noting(taught))
    kind = {False: torch.float32, True: torch.bfloat16}
    assert trained == {(student, kind[student])}
    assert taught == {(teacher, kind[teacher])}


class _Says(nn.Module):
    """Always answers the same."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _: Tensor) -> Tensor:
        return self.answer
