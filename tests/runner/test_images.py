"""The runner reads images as the training does: the same pixels, the same numbers, the same answers."""

from __future__ import annotations

import os
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from packages import write_digits, write_folder, write_run
from tenfold.core.errors import DataError
from tenfold.data.dataset import Preprocessing
from tenfold.data.decode import decode_all
from tenfold.runs.saved import load
from tenfold_runner.card import Card
from tenfold_runner.classify import Classifier
from tenfold_runner.errors import ImageError
from tenfold_runner.images import images_below, prepared, read_image
from tenfold_runner.package import Package


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Card:
    folder = tmp_path_factory.mktemp("colour")
    return Package.open(write_folder(write_run(folder / "run", (3, 6, 9), 4), folder / "out")).card


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("grey")
    return Package.open(write_folder(write_run(folder / "run"), folder / "out"))


def noise(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def every_kind(folder: Path) -> list[Path]:
    """One file of each mode and format that people have."""
    rgb = Image.fromarray(noise(37, 23, 3))
    deep = Image.fromarray(np.random.default_rng(1).integers(0, 65536, (21, 30), np.uint16))
    frames = [Image.fromarray(noise(12, 15, 3, seed)) for seed in range(3)]
    saves: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "rgb.png": (rgb, {}),
        "photo.jpg": (rgb, {"quality": 80}),
        "turned.jpg": (rgb, {"exif": turned_by(6)}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "grey.png": (rgb.convert("L"), {}),
        "grey-alpha.png": (rgb.convert("LA"), {}),
        "bits.png": (rgb.convert("1"), {}),
        "palette.png": (rgb.quantize(16), {}),
        "clear.png": (rgb.quantize(16), {"transparency": 0}),
        "alpha.png": (Image.fromarray(noise(9, 9, 4)), {}),
        "deep.png": (deep, {}),
        "deep.tif": (deep, {}),
        "moving.gif": (frames[0], {"save_all": True, "append_images": frames[1:]}),
        "moving.webp": (frames[0], {"save_all": True, "append_images": frames[1:], "lossless": True}),
        "moving.png": (frames[0], {"save_all": True, "append_images": frames[1:]}),
        "plain.webp": (rgb, {}),
        "plain.bmp": (rgb, {}),
        "plain.ppm": (rgb, {}),
        "grey.pgm": (rgb.convert("L"), {}),
        "cmyk.tiff": (rgb.convert("CMYK"), {}),
        "point.png": (rgb.crop((0, 0, 1, 1)), {}),
        "exact.png": (Image.fromarray(noise(6, 9, 3)), {}),
        "line.png": (rgb.resize((4000, 1)), {}),
    }
    for name, (image, options) in saves.items():
        image.save(folder / name, **options)
    return sorted(folder / name for name in saves)


def test_every_kind_of_file_gives_the_pixels_of_the_training(
    tmp_path: Path, colour: Card, grey: Package
) -> None:
    paths = every_kind(tmp_path)
    names = [str(path) for path in paths]
    for card in (colour, grey.card):
        channels, height, width = card.shape
        wanted = decode_all(
            names, lambda name: Path(name).read_bytes(), resize=(height, width), channels=channels
        )
        for path, pixels in zip(paths, wanted, strict=True):
            assert np.array_equal(read_image(path, card), pixels.numpy()), path.name
    assert images_below(tmp_path) == paths


# what is stored of an upright picture: EXIF says on which side of it the first row and column lie
STORED = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.swapaxes(0, 1),
    6: lambda seen: np.rot90(seen, 1),
    7: lambda seen: seen[::-1, ::-1].swapaxes(0, 1),
    8: lambda seen: np.rot90(seen, -1),
}


def turned_by(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_photo_is_read_as_a_person_sees_it(
    tmp_path: Path, colour: Card, orientation: int, ending: str
) -> None:
    upright, path = noise(6, 9, 3), tmp_path / f"photo.{ending}"
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    stored.save(path, exif=turned_by(orientation), lossless=True)
    seen = upright.transpose(2, 0, 1)
    assert np.array_equal(read_image(path, colour), seen)
    assert np.array_equal(decode_all(["photo"], lambda _: path.read_bytes())[0].numpy(), seen)


def test_sixteen_bits_and_jpeg_are_turned_too(tmp_path: Path, colour: Card, grey: Package) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (8, 8), np.uint16)
    Image.fromarray(np.rot90(deep, 1).copy()).save(tmp_path / "deep.png", exif=turned_by(6))
    assert np.array_equal(read_image(tmp_path / "deep.png", grey.card)[0], deep >> 8)
    Image.fromarray(noise(9, 6, 3)).save(tmp_path / "photo.jpg", exif=turned_by(6))
    with Image.open(tmp_path / "photo.jpg") as image:
        wanted = np.rot90(np.asarray(image), -1)
    assert np.array_equal(read_image(tmp_path / "photo.jpg", colour), wanted.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "note", [b"", b"II", b"MM\0*\0\0\0\x08\0\1", b"MM\0*\0\0\0\x08\0\1\1\x12\0\x05\0\0\0\1\xff\xff\xff\xff"]
)
def test_a_broken_note_on_orientation_is_passed_over(tmp_path: Path, colour: Card, note: bytes) -> None:
    pixels, path = noise(6, 9, 3), tmp_path / "photo.png"
    Image.fromarray(pixels).save(path, exif=b"Exif\0\0" + note)
    assert np.array_equal(read_image(path, colour), pixels.transpose(2, 0, 1))


def test_numbers_are_those_of_torch_bit_for_bit(colour: Card) -> None:
    images = [noise(6, 9, 3, seed).transpose(2, 0, 1) for seed in range(5)]
    wanted = Preprocessing(colour.mean, colour.std).apply(torch.from_numpy(np.stack(images)))
    assert np.array_equal(prepared(images, colour), wanted.numpy())


def test_large_images_do_not_warn_and_are_read(tmp_path: Path, colour: Card) -> None:
    Image.new("RGB", (8000, 8000), (10, 200, 30)).save(tmp_path / "large.png")
    Image.new("1", (10000, 9000), 1).save(tmp_path / "larger.png")  # Pillow warns of bombs from here on
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "large.png", colour)[:, 0, 0].tolist() == [10, 200, 30]
        assert read_image(tmp_path / "larger.png", colour)[:, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("text.png", b"hello", "its content is of no known kind"),
        ("empty.jpg", b"", "its content is of no known kind"),
        ("cut.png", "png", "truncated"),
        ("cut.jpg", "jpeg", "truncated"),
        ("bomb.png", "bomb", "decompression bomb"),
    ],
)
def test_what_is_no_image_is_named(
    tmp_path: Path, colour: Card, name: str, content: bytes | str, cause: str
) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        buffer = BytesIO()
        image = Image.fromarray(noise(200, 200, 3))
        if content == "bomb":
            Image.new("1", (20000, 20000)).save(buffer, "PNG")
        else:
            image.save(buffer, content)
        content = buffer.getvalue() if content == "bomb" else buffer.getvalue()[:-5000]
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name}: cannot be read as an image \(.*{cause}"):
        read_image(path, colour)
    with pytest.raises(DataError):
        decode_all([name], lambda _: path.read_bytes(), resize=(6, 9), channels=3)


def test_numbers_of_32_bits_and_missing_files_are_refused(tmp_path: Path, colour: Card) -> None:
    Image.fromarray(np.ones((4, 4), np.int32)).save(tmp_path / "deep.tif")
    with pytest.raises(ImageError, match="32-bit numbers of unknown range"):
        read_image(tmp_path / "deep.tif", colour)
    with pytest.raises(ImageError, match=r"gone.png: cannot be read as an image \(No such file"):
        read_image(tmp_path / "gone.png", colour)
    with pytest.raises(ImageError, match="Is a directory"):
        read_image(tmp_path, colour)


def test_folders_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.png").write_text("")
    with pytest.raises(ImageError, match=r"there is no image in it; these kinds are known: bmp gif"):
        images_below(tmp_path)
    with pytest.raises(ImageError, match="no such folder"):
        images_below(tmp_path / "gone")


def test_runner_and_torch_answer_alike_on_all_digits(tmp_path: Path, grey: Package) -> None:
    paths = write_digits(tmp_path / "digits")
    run = write_run(tmp_path / "run")
    _answers_alike(paths, run.path, grey)
    assert len(paths) == 599


@pytest.mark.slow
def test_runner_and_torch_answer_alike_on_photographs(tmp_path: Path) -> None:
    folder = os.environ.get("TENFOLD_DATA")
    if folder is None:
        pytest.skip("TENFOLD_DATA names no folder with cifar10.zip")
    with zipfile.ZipFile(Path(folder) / "cifar10.zip") as archive:
        names = [name for name in archive.namelist() if "test/" in name and name.endswith(".png")][::10]
        archive.extractall(tmp_path, names)
    run = write_run(tmp_path / "run", (3, 32, 32))
    paths = [tmp_path / name for name in names]
    assert len(paths) == 1000
    _answers_alike(paths, run.path, Package.open(write_folder(run, tmp_path / "package")))


def _answers_alike(paths: list[Path], run: Path, package: Package) -> None:
    """The likeliest classes of torch and of the runner are the same, every one of them."""
    model, card = load(run), package.card
    images = decode_all([str(path) for path in paths], lambda name: Path(name).read_bytes())
    with torch.no_grad():
        logits = model(Preprocessing(card.mean, card.std).apply(images))
    classifier = Classifier(card, package.network())
    answers = [classifier.classify(path) for path in paths]
    assert [a.ranked[0][0] for a in answers] == [card.classes[n] for n in logits.argmax(1)]
    assert len({a.ranked[0][0] for a in answers}) > 3  # the answers do depend on the images
    chances = logits.double().softmax(1).max(1).values
    # float32 through two layers
    torch.testing.assert_close(
        torch.tensor([a.ranked[0][1] for a in answers]).double(), chances, rtol=1e-5, atol=0
    )
