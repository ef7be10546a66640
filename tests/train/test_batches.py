from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, islice

import pytest
import torch
from torch import Tensor

from tenfold.data.dataset import Preprocessing
from tenfold.train.batches import Augmentation, Batches, augmented

NONE = Augmentation(padding=0, flip=False)
GREY = Preprocessing((0.5,), (0.25,))
# Each image is of one brightness of its own, so that a batch tells which images are in it.
IMAGES = torch.arange(23, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous() + 1


def endless(images: Tensor, *args, **options) -> Iterator[Tensor]:
    """The batches of `Batches` from the first on."""
    batches = Batches(images, *args, **options)
    return (batches.at(step)[0] for step in count(1))


def which(batch: Tensor) -> list[int]:
    """Numbers of the images in a preprocessed batch."""
    return [round(float(value)) - 1 for value in ((batch.amax((1, 2, 3)) * 0.25 + 0.5) * 255)]


def test_one_pass_goes_through_all_images_in_order():
    batches = list(augmented(IMAGES, GREY, NONE, batch_size=10, seed=0))
    assert [len(batch) for batch in batches] == [10, 10, 3]
    assert list(chain.from_iterable(map(which, batches))) == list(range(23))
    torch.testing.assert_close(torch.cat(batches), GREY.apply(IMAGES), rtol=0, atol=0)
    assert all(b.is_contiguous(memory_format=torch.channels_last) for b in batches)


def test_no_batch_of_a_pass_has_a_single_image():
    batches = list(augmented(IMAGES[:21], GREY, NONE, batch_size=10, seed=0))
    assert [len(batch) for batch in batches] == [10, 11]
    assert list(chain.from_iterable(map(which, batches))) == list(range(21))
    assert [len(batch) for batch in augmented(IMAGES[:1], GREY, NONE, batch_size=10, seed=0)] == [1]


def test_an_epoch_shows_every_image_once_and_drops_the_short_batch():
    batches = [which(b) for b in islice(endless(IMAGES, GREY, NONE, batch_size=5, seed=0), 40)]
    assert all(len(batch) == 5 for batch in batches)
    epochs = [list(chain.from_iterable(batches[4 * n : 4 * n + 4])) for n in range(10)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
    assert len({tuple(epoch) for epoch in epochs}) == 10
    # One image is left out of all ten epochs once in 10^8 seeds.
    assert set().union(*epochs) == set(range(23))


def test_a_batch_larger_than_the_set_is_the_set():
    for batch in islice(endless(IMAGES[:7], GREY, NONE, batch_size=100, seed=0), 3):
        assert sorted(which(batch)) == list(range(7))


@pytest.mark.parametrize("make", [augmented, endless])
def test_same_seed_same_bits(make):
    def first(seed: int) -> Tensor:
        return torch.cat(list(islice(make(IMAGES, GREY, Augmentation(), batch_size=8, seed=seed), 2)))

    state = torch.get_rng_state()
    assert torch.equal(first(3), first(3))
    assert not torch.equal(first(3), first(4))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("make", [augmented, endless])
@pytest.mark.parametrize(("padding", "flip"), [(0, False), (2, False), (0, True)])
def test_images_are_varied_as_asked(make, padding, flip):
    image = torch.zeros(1, 1, 6, 6, dtype=torch.uint8)
    image[..., 2, 1] = 255  # off the middle
    images = image.expand(512, -1, -1, -1).contiguous()  # each of 25 places is missed once in 10^9
    batch = next(make(images, GREY, Augmentation(padding, flip), batch_size=512, seed=0))
    spots = {tuple(int(n) for n in (one[0] > 0).nonzero()[0]) for one in batch if (one > 0).any()}
    expected = {(2 + a, 1 + b) for a in range(-padding, padding + 1) for b in range(-padding, padding + 1)}
    expected = {(a, b) for a, b in expected if 0 <= a < 6 and 0 <= b < 6} | ({(2, 4)} if flip else set())
    assert spots == expected
    assert float(batch.min()) == -2.0  # black before normalisation


def test_a_batch_depends_on_its_step_alone():
    def batches() -> Batches:
        return Batches(IMAGES, GREY, Augmentation(cut_out=2), batch_size=5, seed=1)

    through = batches()
    in_order = [through.at(step) for step in range(1, 10)]
    for step in (9, 1, 5):
        images, places = batches().at(step)
        assert torch.equal(images, in_order[step - 1][0])
        assert torch.equal(places, in_order[step - 1][1])
    assert not torch.equal(in_order[0][0], in_order[4][0])  # the same step of the next epoch


def test_cut_out_blackens_as_much_as_it_says():
    # A square of 2 inside 4x4 covers 4 pixels, 2 or 1 at the border; black is -2 after normalisation.
    images = torch.full((256, 1, 4, 4), 200, dtype=torch.uint8)
    batch, _ = Batches(images, GREY, Augmentation(0, False, 2), batch_size=256, seed=0).at(1)
    covered = (batch == -2.0).sum((1, 2, 3))
    assert set(covered.tolist()) == {1, 2, 4}
    assert float(batch[batch != -2.0].min()) > 0
