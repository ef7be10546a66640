from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tenfold.core.errors import DataError
from tenfold.data.decode import decode_all


def png(array: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


def rgb(height: int = 4, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def with_a_damaged_chunk() -> bytes:
    """Its second chunk of pixels has a name that no chunk can have."""
    content = png(rgb(200, 200))
    place = content.rindex(b"IDAT")
    return content[:place] + b"ID\0T" + content[place + 4 :]


def test_pixels_land_in_their_channel_row_and_column_whatever_the_number_of_files():
    arrays = [rgb(seed=seed) for seed in range(600)]  # more than two chunks
    files = {str(n): png(array) for n, array in enumerate(arrays)}
    out = decode_all(list(files), files.__getitem__)
    assert np.array_equal(out.numpy(), np.stack(arrays).transpose(0, 3, 1, 2))
    assert out.is_contiguous()


def test_grey_stays_grey_and_becomes_rgb_beside_colour():
    grey, colour = rgb()[:, :, 0], rgb()
    files = {"grey": png(grey), "colour": png(colour)}
    alone = decode_all(["grey", "grey"], files.__getitem__)
    both = decode_all(["grey", "colour"], files.__getitem__)
    assert alone.shape == (2, 1, 4, 6)
    assert np.array_equal(both[0].numpy(), np.stack([grey] * 3))
    assert np.array_equal(both[1].numpy(), colour.transpose(2, 0, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_what_was_asked(channels):
    files = {"grey": png(rgb()[:, :, 0]), "colour": png(rgb())}
    assert decode_all(["grey", "colour"], files.__getitem__, channels=channels).shape == (2, channels, 4, 6)


def test_resize_is_height_then_width():
    files = {"a": png(rgb(4, 6)), "b": png(rgb(9, 5))}
    assert decode_all(["a", "b"], files.__getitem__, resize=(8, 3)).shape == (2, 3, 8, 3)


def test_sizes_that_differ_are_refused_and_both_are_named():
    files = {"a": png(rgb(4, 6)), "b": png(rgb(9, 5))}
    with pytest.raises(DataError, match=r"a is 4x6 \(height x width\), b is 9x5; give resize"):
        decode_all(["a", "b"], files.__getitem__)


def test_sixteen_bit_grey_keeps_its_high_byte():
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    out = decode_all(["deep"], {"deep": png(deep)}.__getitem__)
    assert out.flatten().tolist() == [0, 0, 1, 128, 255]


def test_palette_images_give_their_colours():
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    buffer = BytesIO()
    image.save(buffer, "PNG")
    out = decode_all(["p"], {"p": buffer.getvalue()}.__getitem__)
    assert out[0, :, 0].T.tolist() == [[10, 20, 30], [40, 50, 60]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a text",
        png(rgb())[:60],
        png(rgb(64, 64))[:-3000],
        png(rgb()).replace(b"IDAT", b"IDAU"),
        with_a_damaged_chunk(),
    ],
    ids=["empty", "text", "header only", "cut short", "no pixels", "damaged"],
)
def test_a_broken_image_is_named(content):
    files = {"good.png": png(rgb()), "bad.png": content}
    with pytest.raises(DataError, match=r"bad\.png: cannot be read as an image .*repair or remove"):
        decode_all(["good.png", "bad.png"], files.__getitem__, resize=(4, 6))


def test_numbers_of_unknown_range_are_refused():
    buffer = BytesIO()
    Image.fromarray(np.zeros((2, 2), np.float32)).save(buffer, "TIFF")
    with pytest.raises(DataError, match=r"f\.tif: its pixels are 32-bit"):
        decode_all(["f.tif"], {"f.tif": buffer.getvalue()}.__getitem__)
