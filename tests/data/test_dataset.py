from __future__ import annotations

import pytest
import torch

from tenfold.core.errors import DataError, ShapeError
from tenfold.data.dataset import (
    Dataset,
    Preprocessing,
    Splits,
    calibration_and_held_out,
    hold_out,
    permuted,
)


def sorted_dataset(per_class: int = 20, classes: int = 5) -> Dataset:
    """Sorted by class, as files are; the one pixel of each image is its number."""
    count = per_class * classes
    images = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return Dataset(images, torch.arange(count) // per_class, tuple("abcde"[:classes]))


def numbers(images: torch.Tensor) -> list[int]:
    return images.flatten().tolist()


def test_subset_keeps_the_order_asked_for_and_pairs_labels_with_images():
    part = sorted_dataset().subset(torch.tensor([99, 0, 45]))
    assert numbers(part.images) == [99, 0, 45]
    assert part.labels.tolist() == [4, 0, 2]


def test_permuted_is_a_permutation_that_keeps_pairs_and_depends_on_the_seed():
    data = sorted_dataset()
    first, again, other = permuted(data, 0), permuted(data, 0), permuted(data, 1)
    assert numbers(first.images) == numbers(again.images) != numbers(other.images)
    assert sorted(numbers(first.images)) == numbers(data.images) != numbers(first.images)
    assert torch.equal(first.labels, first.images.flatten().long() // 20)


def test_parts_of_sorted_files_hold_all_classes():
    # 40 of 100 in 5 sorted classes: unpermuted they would hold 2 classes; by chance they miss one
    # with probability < 5 * (80 choose 40) / (100 choose 40) < 1e-4 a seed
    for seed in range(5):
        images, held = calibration_and_held_out(sorted_dataset(), calibration=40, held_out=40, seed=seed)
        assert len({n // 20 for n in numbers(images)}) == 5
        assert len(held.labels.unique()) == 5


def test_calibration_and_held_out_are_disjoint_and_of_the_sizes_asked():
    images, held = calibration_and_held_out(sorted_dataset(), calibration=30, held_out=25, seed=3)
    assert (len(images), len(held)) == (30, 25)
    assert not set(numbers(images)) & set(numbers(held.images))


def test_calibration_takes_what_is_left_at_most():
    images, held = calibration_and_held_out(sorted_dataset(), calibration=1000, held_out=25, seed=3)
    assert sorted(numbers(images) + numbers(held.images)) == list(range(100))


def test_hold_out_agrees_with_calibration_of_the_same_seed():
    rest, held = hold_out(sorted_dataset(), 25, seed=3)
    images, same = calibration_and_held_out(sorted_dataset(), calibration=10, held_out=25, seed=3)
    assert numbers(held.images) == numbers(same.images)
    assert numbers(rest.images)[:10] == numbers(images)
    assert sorted(numbers(rest.images) + numbers(held.images)) == list(range(100))


@pytest.mark.parametrize("count", [-1, 100, 101])
def test_holding_out_everything_is_refused(count):
    with pytest.raises(DataError, match=f"{count} images to hold out of 100"):
        hold_out(sorted_dataset(), count, seed=0)


def test_no_calibration_is_refused():
    with pytest.raises(DataError, match="0 calibration images"):
        calibration_and_held_out(sorted_dataset(), calibration=0, held_out=1, seed=0)


@pytest.mark.parametrize(
    ("images", "labels", "error"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(2).long(), ShapeError),
        (torch.zeros(2, 4, 4).byte(), torch.zeros(2).long(), ShapeError),
        (torch.zeros(2, 1, 4, 4).byte(), torch.zeros(3).long(), ShapeError),
        (torch.zeros(2, 1, 4, 4).byte(), torch.zeros(2), ShapeError),
        (torch.zeros(2, 1, 4, 4).byte(), torch.tensor([0, 2]), DataError),
        (torch.zeros(2, 1, 4, 4).byte(), torch.tensor([-1, 0]), DataError),
    ],
)
def test_what_is_no_dataset_is_refused(images, labels, error):
    with pytest.raises(error):
        Dataset(images, labels, ("a", "b"))


def test_preprocessing_is_the_formula_channel_by_channel():
    images = torch.arange(0, 240, 10, dtype=torch.uint8).view(2, 3, 2, 2)
    mean, std = (0.5, 0.25, 0.1), (0.5, 0.2, 0.3)
    out = Preprocessing(mean, std).apply(images)
    assert out.dtype == torch.float32
    for c in range(3):
        wanted = (images[:, c].double() / 255 - mean[c]) / std[c]
        # three roundings of numbers below 1, then a division by 0.2
        torch.testing.assert_close(out[:, c].double(), wanted, rtol=0, atol=4 * 2**-24 / 0.2)
    assert images.flatten().tolist() == list(range(0, 240, 10))  # the input is not touched


def test_preprocessing_refuses_other_channels_and_zero_std():
    with pytest.raises(ShapeError, match="3 channel"):
        Preprocessing((0.5,) * 3, (0.5,) * 3).apply(torch.zeros(2, 1, 4, 4).byte())
    with pytest.raises(DataError, match="above 0"):
        Preprocessing((0.5,), (0.0,))
    with pytest.raises(DataError, match="one value a channel"):
        Preprocessing((0.5, 0.5), (0.5,))


def test_splits_of_different_size_or_classes_are_refused():
    train, plain = sorted_dataset(), Preprocessing((0.5,), (0.5,))
    larger = Dataset(torch.zeros(5, 1, 2, 2).byte(), torch.zeros(5).long(), train.classes)
    colour = Dataset(torch.zeros(5, 3, 1, 1).byte(), torch.zeros(5).long(), train.classes)
    renamed = Dataset(train.images, train.labels, tuple("vwxyz"))
    with pytest.raises(DataError, match="resize"):
        Splits(train, larger, plain)
    with pytest.raises(DataError, match="channels"):
        Splits(train, colour, plain)
    with pytest.raises(DataError, match="classes"):
        Splits(train, renamed, plain)
