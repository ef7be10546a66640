from __future__ import annotations

import pytest
import torch

from tenfold.data.augment import crop_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_crops(image: torch.Tensor, padding: int, *, flip: bool) -> list[torch.Tensor]:
    """Every result that is allowed, by slicing alone."""
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding, dtype=torch.uint8)
    padded[:, padding : padding + height, padding : padding + width] = image
    places = [(top, left) for top in range(2 * padding + 1) for left in range(2 * padding + 1)]
    crops = [padded[:, top : top + height, left : left + width] for top, left in places]
    return crops + ([crop.flip(-1) for crop in crops] if flip else [])


@pytest.mark.parametrize("flip", [True, False])
def test_each_image_is_a_crop_of_its_own_padded_self_and_all_crops_occur(flip):
    padding, count = 2, 1500  # 50 crops: one stays away with probability < 50 * 0.98**1500 < 1e-11
    image = torch.randint(1, 256, (3, 5, 7), generator=generator(1), dtype=torch.uint8)
    out = crop_flip(image.expand(count, -1, -1, -1), generator(), padding=padding, flip=flip)
    allowed = {tuple(crop.flatten().tolist()) for crop in all_crops(image, padding, flip=flip)}
    met = {tuple(row.flatten().tolist()) for row in out}
    assert met == allowed
    assert len(met) == 25 * (2 if flip else 1)


def test_images_of_a_batch_are_not_mixed_up():
    images = torch.arange(1, 41, dtype=torch.uint8).view(40, 1, 1, 1).expand(-1, 3, 6, 6)
    out = crop_flip(images, generator(), padding=2)
    assert out[:, :, 2:4, 2:4].equal(images[:, :, 2:4, 2:4])  # the middle is never padding
    assert set(out[7].flatten().tolist()) <= {0, 8}


def test_without_padding_and_flip_nothing_changes():
    images = torch.randint(0, 256, (4, 3, 6, 9), generator=generator(2), dtype=torch.uint8)
    assert torch.equal(crop_flip(images, generator(), padding=0, flip=False), images)


def test_flip_mirrors_half_of_the_images_left_to_right():
    image = torch.arange(12, dtype=torch.uint8).view(1, 3, 4)
    out = crop_flip(image.expand(1000, -1, -1, -1), generator(), padding=0)
    mirrored = sum(torch.equal(row, image.flip(-1)) for row in out)
    straight = sum(torch.equal(row, image) for row in out)
    assert mirrored + straight == 1000
    assert abs(mirrored - 500) < 80  # five standard deviations of 16


def test_the_generator_alone_decides():
    images = torch.randint(0, 256, (16, 3, 8, 8), generator=generator(2), dtype=torch.uint8)
    draw = generator(5)
    first, second = crop_flip(images, draw), crop_flip(images, draw)
    torch.manual_seed(123)
    assert torch.equal(first, crop_flip(images, generator(5)))
    assert not torch.equal(first, second)
    assert first.dtype == torch.uint8
