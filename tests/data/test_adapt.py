from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tenfold.core.errors import DataError
from tenfold.data.adapt import adapt, check_options


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("size", [(5, 9), (20, 30)])
def test_resizing_agrees_with_pillow(size):
    images = noise(3, 1, 12, 16)
    out = adapt(images, resize=size)
    for image, row in zip(images, out, strict=True):
        wanted = np.asarray(Image.fromarray(image[0].numpy()).resize(size[::-1], Image.Resampling.BILINEAR))
        # both round twice, once an axis, and may round apart by one each time
        assert np.abs(row[0].numpy().astype(int) - wanted).max() <= 2


def test_grey_is_pillows_luma():
    images = noise(2, 3, 6, 5)
    out = adapt(images, channels=1)
    wanted = np.asarray(Image.fromarray(images[1].permute(1, 2, 0).numpy()).convert("L"))
    assert out.shape == (2, 1, 6, 5)
    exact = (images.double() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    assert (out[:, 0] - exact).abs().max() <= 0.5 + 2**-14  # float32 may fall to either side of a half
    assert np.abs(out[1, 0].numpy().astype(int) - wanted).max() <= 1  # Pillow's weights have 16 bits


def test_three_channels_of_grey_are_equal():
    images = noise(2, 1, 6, 5)
    out = adapt(images, channels=3)
    assert out.shape == (2, 3, 6, 5)
    assert all(torch.equal(out[:, c], images[:, 0]) for c in range(3))


def test_nothing_asked_nothing_done():
    images = noise(2, 3, 6, 5)
    assert adapt(images) is images
    assert adapt(images, resize=(6, 5), channels=3) is images


@pytest.mark.parametrize(("resize", "channels"), [((0, 4), None), ((4, -1), None), (None, 2), (None, 4)])
def test_impossible_options_are_refused(resize, channels):
    with pytest.raises(DataError, match=r"resize|channels"):
        check_options(resize, channels)
