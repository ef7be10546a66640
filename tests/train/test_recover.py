from __future__ import annotations

import copy
import weakref

import pytest
import torch
from torch import Tensor, nn

from odd_layers import Around, around, seeded
from tenfold.compression.oneshot import decompose_model
from tenfold.core.errors import NonFiniteError
from tenfold.core.plan import Choice, Plan
from tenfold.data.dataset import Preprocessing
from tenfold.train.batches import Augmentation
from tenfold.train.loop import Rollback, Step
from tenfold.train.recover import Recovery, recover
from tenfold.train.running import Running

RGB = Preprocessing((0.5,) * 3, (0.25,) * 3)
SETTINGS = Recovery(steps=12, batch_size=16, rate=1e-2)
PLAN = Plan({"layer": Choice("btd", (2, 2, 2)), "head": Choice("svd", (2,))})


def pair() -> tuple[nn.Module, nn.Module]:
    """A network and its crude compression."""
    original = around("plain")
    return decompose_model(original, PLAN, torch.zeros(1, 3, 8, 8)), original


def run(
    model: nn.Module, original: nn.Module, images: Tensor, seed: int = 0, **changes: object
) -> list[Step]:
    options = {
        "settings": SETTINGS,
        "augmentation": Augmentation(padding=1),
        "running": Running(seed),
        **changes,
    }
    rows = recover(model, original, images, RGB, **options)
    return [row for row in rows if isinstance(row, Step)]


def distance(model: nn.Module, original: nn.Module, images: Tensor) -> float:
    """Squared logit error, summed over classes, averaged over images."""
    with torch.no_grad():
        error = model(RGB.apply(images)) - original(RGB.apply(images))
    return float(error.square().sum(1).mean())


def bits(net: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in net.state_dict().values()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_error_falls(images):
    model, original = pair()
    before = distance(model, original, images)
    states = run(model, original, images, settings=Recovery(steps=60, batch_size=16, rate=1e-2))
    assert distance(model, original, images) < before / 4
    assert [state.step for state in states] == list(range(1, 61))
    assert all(0 <= state.rate <= 1e-2 for state in states)
    assert states[-1].rate < 1e-4


@pytest.mark.usefixtures("fixed_form")
def test_the_loss_is_the_squared_error_of_the_logits(images):
    model, original = pair()
    expected = distance(model, original, images)
    options = {
        "settings": Recovery(steps=1, batch_size=48, mixed=0.0),
        "augmentation": Augmentation(0, flip=False),
    }
    assert run(model, original, images, **options)[0].loss == pytest.approx(expected, rel=1e-5)  # float32


@pytest.mark.usefixtures("fixed_form")
def test_same_seed_same_bits(images):
    found = []
    for seed in (1, 1, 2):
        model, original = pair()
        states = run(model, original, images, seed=seed)
        found.append((bits(model), states))
    assert equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert not equal(found[0][0], found[2][0])


def test_the_original_is_not_changed(images):
    model, original = pair()
    original.train()
    original.head.eval()
    before = bits(original)
    run(model, original, images)
    assert equal(bits(original), before)
    assert (original.training, original.head.training) == (True, False)
    assert all(p.grad is None for p in original.parameters())


@pytest.mark.usefixtures("fixed_form")
def test_a_step_that_is_given_up_holds_none_of_its_answers(images):
    model, original = map(nn.Sequential, pair())
    answers = []
    model[0].register_forward_hook(lambda *given: answers.append(weakref.ref(given[2])))
    wild = Recovery(steps=3, batch_size=16, rate=1e6)
    options = {"settings": wild, "augmentation": Augmentation()}
    rows = recover(model, original, images, RGB, **options)
    assert isinstance(next(row for row in rows if not isinstance(row, Step)), Rollback)
    assert len(answers) == 2
    assert all(answer() is None for answer in answers)


def test_the_given_images_are_not_changed(images):
    before = images.clone()
    run(*pair(), images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("form", [[], ["layer", "head"]])
def test_afterwards_the_chains_stand_there_in_their_mode(images, monkeypatch, form):
    monkeypatch.setattr("tenfold.train.execution.faster_rebuilt", lambda *_args, **_options: form)
    model, original = pair()
    objects, flags = {n: id(m) for n, m in model.named_modules()}, [m.training for m in model.modules()]
    steps = recover(model, original, images, RGB, settings=SETTINGS, augmentation=Augmentation(1))
    next(steps)
    next(steps)
    steps.close()  # what a `break` does
    assert {n: id(m) for n, m in model.named_modules()} == objects
    assert [m.training for m in model.modules()] == flags
    assert not any(m._forward_hooks for net in (model, original) for m in net.modules())
    assert not equal(bits(model), bits(pair()[0]))


@pytest.mark.usefixtures("fixed_form")
def test_both_forms_learn_the_same(images, monkeypatch):
    found = []
    for form in ([], ["layer", "head"]):
        monkeypatch.setattr("tenfold.train.execution.faster_rebuilt", lambda *_a, _form=form, **_o: _form)
        model, original = pair()
        found.append([state.loss for state in run(model, original, images)])
    # A dozen steps in float32; Adam's division by small second moments enlarges rounding.
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_no_steps_change_nothing(images):
    model, original = pair()
    before = bits(model)
    assert run(model, original, images, settings=Recovery(steps=0)) == []
    assert equal(bits(model), before)


def test_nan_stops_it_by_step(images):
    model, original = pair()
    with torch.no_grad():
        model.stem.bias[0] = float("nan")
    with pytest.raises(
        NonFiniteError, match=r"step 1: the loss is nan, also at a rate of .*; lower the rate"
    ):
        run(model, original, images)


@pytest.mark.usefixtures("fixed_form")
def test_a_rate_that_blows_up_is_an_error(images):
    model, original = pair()
    with pytest.raises(NonFiniteError, match="also at a rate of"):
        run(model, original, images, settings=Recovery(steps=12, batch_size=16, rate=1e30))


def test_batch_norms_learn_in_training_mode(images):
    original = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3)).eval()
    model = copy.deepcopy(original)
    run(model, original, images)
    assert not torch.equal(model[1].running_mean, original[1].running_mean)
    assert int(original[1].num_batches_tracked) == 0


class Blocks(nn.Module):
    """Two blocks, of which the first one holds a chain, and a head that sees little of what they do."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3)})
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Tanh())
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(torch.tanh(self.one["conv"](x))).mean((2, 3)))


def block_error(model: nn.Module, original: nn.Module, images: Tensor) -> float:
    """Squared error of the block's output, relative to the original's."""
    with torch.no_grad():
        one, other = (net.block(torch.tanh(net.one["conv"](RGB.apply(images)))) for net in (model, original))
    return float((one - other).square().mean() / other.square().mean())


@pytest.mark.usefixtures("fixed_form")
def test_the_blocks_that_hold_chains_are_matched_as_well(images):
    original = seeded(Blocks).eval()
    errors = []
    for features in (0.0, 30.0):
        plan = Plan({"block.0": Choice("svd", (4,))})
        model = decompose_model(original, plan, torch.zeros(1, 3, 8, 8))
        before = block_error(model, original, images)
        run(model, original, images, settings=Recovery(steps=80, batch_size=16, rate=1e-2, features=features))
        errors.append(block_error(model, original, images) / before)
        assert not any(m._forward_hooks for net in (model, original) for m in net.modules())
    # The one logit is easily met without the block: only with its weight does the block's error fall at all.
    assert errors[1] < 0.95
    assert errors[0] > 1.05


@pytest.mark.parametrize("mixed", [0.0, 0.5, 1.0])
@pytest.mark.usefixtures("fixed_form")
def test_blends_are_as_many_as_asked(images, mixed):
    met = []

    class Watched(Around):
        def forward(self, x: Tensor) -> Tensor:
            met.append(x.detach().clone())
            return super().forward(x)

    original = seeded(lambda: Watched(nn.Conv2d(8, 12, 3)))
    plain = Augmentation(0, flip=False)
    settings = Recovery(steps=20, batch_size=48, mixed=mixed)
    list(recover(copy.deepcopy(original), original, images, RGB, settings=settings, augmentation=plain))
    own = {tuple(image.flatten()[:20].tolist()) for image in RGB.apply(images)}
    # One image in 48 is blended with itself, and shows as it is.
    seen = [tuple(image.flatten()[:20].tolist()) in own for batch in met for image in batch]
    share = 1 - sum(seen) / len(seen)
    deviation = 5 * (0.25 / 960) ** 0.5  # of 20 batches of 48, each of them met by both networks
    assert share == pytest.approx(mixed * 47 / 48, abs=0 if mixed == 0 else deviation)
    low, high = RGB.apply(images).min(), RGB.apply(images).max()
    assert all(bool((batch >= low).all() and (batch <= high).all()) for batch in met)
