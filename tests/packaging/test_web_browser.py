"""The web package in a real browser, with real images, against Pillow and torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import tenfold
from browser import Page, chromium, served
from tenfold.data.decode import decode_all
from tenfold.data.source import load_data
from tenfold.deploy.eight_bits import store_weights
from tenfold.deploy.quantise import quantise
from tenfold.deploy.runtime import session
from tenfold.packaging.contents import Contents
from tenfold.packaging.options import PackOptions
from tenfold.packaging.write import write_package
from tenfold.runs.directory import RunDirectory
from tenfold.zoo.build import build
from tenfold.zoo.weights import load_weights
from web_page import ASK, array, ask, choose, kept, ready, text
from web_samples import contents_of, digits_run, encoded, noise, pictures, png

pytestmark = pytest.mark.slow

PROBABILITIES = 1e-4  # largest difference: WebAssembly sums in another order than torch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return digits_run(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def package(run: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package("web", Contents.of(run), tmp_path_factory.mktemp("package") / "web")


@pytest.fixture
def copied(package: Path, tmp_path: Path) -> Path:
    """The package, to be spoiled."""
    return Path(shutil.copytree(package, tmp_path / "copy"))


@pytest.fixture(scope="module")
def page(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of the digits, below a path, ready."""
    with opened(package.parent, tmp_path_factory.mktemp("profile"), "web/") as page:
        yield page


@pytest.fixture
def stored(package: Path, tmp_path: Path) -> Iterator[tuple[Page, int]]:
    """A browser that keeps the package, and the port it came from, at which nothing is now."""
    with chromium(tmp_path / "profile") as page:
        with served(package) as (address, port):
            page.open(address)
            kept(page)
        yield page, port


@pytest.fixture
def newer(run: RunDirectory, tmp_path: Path) -> Path:
    """Another version of the package."""
    return write_package("web", Contents.of(run, name="newer"), tmp_path / "newer")


@pytest.fixture(scope="module")
def real_data() -> Path:
    """The folder with cifar10.zip and cifar10-resnet20.safetensors."""
    folder = os.environ.get("TENFOLD_DATA")
    if not folder or not (Path(folder) / "cifar10-resnet20.safetensors").is_file():
        pytest.skip("TENFOLD_DATA names no folder with cifar10.zip and cifar10-resnet20.safetensors")
    return Path(folder)


@contextmanager
def opened(folder: Path, profile: Path, below: str = "") -> Iterator[Page]:
    """The page of a package in a browser, ready to be asked."""
    with served(folder) as (address, _), chromium(profile) as page:
        page.open(address + below)
        ready(page)
        page.run(ASK)
        yield page


def files(images: Tensor) -> list[bytes]:
    """PNG files of (n, channels, height, width), uint8."""
    return [png(Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy())) for image in images]


def check_answers(page: Page, images: Tensor, inputs: Tensor, logits: np.ndarray) -> None:
    """The page reads the same tensors, bit for bit, and gives the same probabilities."""
    wanted = torch.from_numpy(logits).softmax(1).numpy()
    for file, tensor, probabilities in zip(files(images), inputs, wanted, strict=True):
        assert np.array_equal(array(ask(page, "tensor", file), "<f4"), tensor.flatten().numpy())
        answer = np.array(ask(page, "answer", file))
        assert answer.argmax() == probabilities.argmax()
        assert np.abs(answer - probabilities).max() < PROBABILITIES


@torch.no_grad()
def by_torch(network: nn.Module, inputs: Tensor) -> np.ndarray:
    """Logits."""
    return network.eval()(inputs).numpy()


def test_digits_are_answered_as_by_torch(page: Page, run: RunDirectory) -> None:
    data = load_data("digits")
    images = data.test.images[:150]
    inputs = data.preprocessing.apply(images)
    check_answers(page, images, inputs, by_torch(tenfold.load(run.path), inputs))


@pytest.mark.parametrize("form", ["stored", "computed"])
def test_eight_bits_are_answered_as_by_onnx_runtime(run: RunDirectory, form: str, tmp_path: Path) -> None:
    data = load_data("digits")
    images, file = data.test.images[:150], tmp_path / "int8.onnx"
    if form == "stored":
        store_weights(run.onnx, file)
    else:
        quantise(run.onnx, file, data.preprocessing.apply(data.train.images[:64]).numpy())
    card = Contents.of(run).card
    card = {**card, "after": {**card["after"], "bits": 8, "size_bytes": file.stat().st_size}}
    contents = Contents(file.read_bytes(), card)
    folder = write_package("web", contents, tmp_path / "web", PackOptions(int8=True))
    inputs = data.preprocessing.apply(images)
    (logits,) = session(file, threads=1).run(None, {"image": inputs.numpy()})
    with opened(folder, tmp_path / "profile") as page:
        check_answers(page, images, inputs, logits)
        assert "32 bits" in text(page, "figures")
        assert "8 bits" in text(page, "figures")


def test_colour_images_are_answered_as_by_torch(package: Path, real_data: Path, tmp_path: Path) -> None:
    data = load_data(str(real_data / "cifar10.zip"))
    network = build("resnet20", classes=10)
    load_weights(network, real_data / "cifar10-resnet20.safetensors")
    statistics = {"mean": data.preprocessing.mean, "std": data.preprocessing.std}
    card = json.loads((package / "card.json").read_text())
    card = {**card, "classes": data.test.classes, "input": [3, 32, 32], **statistics}
    folder = write_package("web", contents_of(network, card, tmp_path), tmp_path / "web")
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:100]
    images = data.test.images[order]
    inputs = data.preprocessing.apply(images)
    with opened(folder, tmp_path / "profile") as page:
        check_answers(page, images, inputs, by_torch(network, inputs))


def test_every_size_is_resampled_with_the_bits_of_pillow(page: Page) -> None:
    generator = np.random.default_rng(0)
    sizes = [*generator.integers(1, 90, (60, 4)), (700, 40, 8, 8), (40, 700, 8, 8), (640, 480, 32, 32)]
    for width, height, new_width, new_height in [*sizes, (9, 5, 9, 7), (9, 5, 4, 5)]:
        image = Image.fromarray(noise(height, width, 3))
        wanted = np.asarray(image.resize((new_width, new_height), Image.Resampling.BILINEAR))
        met = array(ask(page, "resized", png(image), new_height, new_width), "u1")
        assert np.array_equal(met, wanted.flatten()), (width, height, new_width, new_height)


def test_colour_photos_become_the_tensor_of_the_training(page: Page) -> None:
    data = load_data("digits")
    for name, file in pictures().items():
        images = decode_all([name], {name: file}.__getitem__, resize=(8, 8), channels=1)
        wanted = data.preprocessing.apply(images).flatten().numpy()
        assert np.array_equal(array(ask(page, "tensor", file), "<f4"), wanted), name


@pytest.mark.parametrize("name", pictures())
def test_stored_pixels_are_read_as_pillow_reads_them(page: Page, name: str) -> None:
    file = pictures()[name]
    with Image.open(BytesIO(file)) as image:
        wanted = np.asarray(image.convert("RGB"))
    met = ask(page, "pixels", file)
    assert (met["height"], met["width"], met["approximate"]) == (*wanted.shape[:2], False)
    assert np.array_equal(array(met["data"], "u1"), wanted.flatten())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_is_turned_upright_as_in_the_training(page: Page, kind: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    image = Image.fromarray(noise(4, 6, 3)).resize((60, 40))
    file = encoded(image, kind, exif=exif, quality=100, subsampling=0)
    met = ask(page, "pixels", file)
    wanted = decode_all(["photo"], lambda _: file)[0].numpy().transpose(1, 2, 0).astype(int)
    assert (met["width"], met["height"]) == (40, 60)
    # what decoders of JPEG may differ by
    assert np.abs(array(met["data"], "u1").reshape(wanted.shape) - wanted).max() <= (
        2 if kind == "JPEG" else 0
    )


def test_a_person_sees_the_best_five_with_bars_the_times_and_the_card(
    page: Page, run: RunDirectory, tmp_path: Path
) -> None:
    data = load_data("digits")
    with torch.no_grad():
        logits = tenfold.load(run.path)(data.preprocessing.apply(data.test.images[:1]))
    shares, order = (100 * logits.softmax(1)[0]).sort(descending=True)
    (tmp_path / "digit.png").write_bytes(files(data.test.images[:1])[0])
    assert choose(page, tmp_path / "digit.png") == str(int(order[0]))
    rows = text(page, "bars").split("\n")
    wanted = [f"{int(n)}\n{float(share):.1f} %" for n, share in zip(order, shares, strict=True)][:5]
    assert "\n".join(line for line in rows if line) == "\n".join(wanted)
    width = page.run(
        "document.querySelector('.track div').offsetWidth / document.querySelector('.track').offsetWidth"
    )
    assert width == pytest.approx(float(shares[0]) / 100, abs=0.02)
    assert "ms for the network" in text(page, "times")
    page.wait_for("preview.complete")  # decoded beside the script that answers
    assert page.run("preview.naturalWidth") == 8
    report = run.read_report()
    card = text(page, "figures")
    assert f"{report.before.params:,}" in card
    assert f"{report.after.params:,}" in card
    assert f"{report.after.accuracy:.2f} %" in card


def test_nothing_is_logged_as_an_error_and_nothing_is_asked_of_another_server(page: Page) -> None:
    kept(page)
    assert page.errors() == []
    home = str(page.run("location.href"))
    own = [address for address in page.addresses() if not address.startswith(("blob:", "data:"))]
    assert len(own) > 10
    assert [address for address in own if not address.startswith(home)] == []


def test_the_browser_would_install_it(page: Page) -> None:
    kept(page)
    assert page.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
    assert page.send("Page.getAppManifest")["errors"] == []


def test_the_page_may_ask_no_other_server(page: Page, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with served(tmp_path) as (address, _):
        assert (
            page.run(f"fetch('{address}a.txt', {{mode: 'no-cors'}}).then(() => 'came', () => 'refused')")
            == "refused"
        )
        assert "Content Security Policy" in " ".join(page.errors())
    page.events.clear()


def test_it_works_without_its_server_and_after_a_restart_of_the_browser(
    package: Path, tmp_path: Path
) -> None:
    (tmp_path / "digit.png").write_bytes(files(load_data("digits").test.images[:1])[0])
    with served(package) as (address, port), chromium(tmp_path / "profile") as page:
        page.open(address)
        kept(page)
        ready(page)
        online = choose(page, tmp_path / "digit.png")
    for place in ("", "?from=home", "index.html"):
        with chromium(tmp_path / "profile") as page:
            page.open(f"http://127.0.0.1:{port}/{place}")
            ready(page)
            assert choose(page, tmp_path / "digit.png") == online
            page.open(f"http://127.0.0.1:{port}/{place}")
            ready(page)
            assert page.errors() == []


def test_an_update_is_offered_and_replaces_what_was_stored(stored: tuple[Page, int], newer: Path) -> None:
    page, port = stored
    before = page.run("caches.keys()")
    with served(newer, port) as (address, _):
        page.open(address)
        page.wait_for("!document.getElementById('update').hidden")
        assert text(page, "name") != "newer"
        page.run("document.getElementById('replace').click()")
        page.wait_for("document.getElementById('name')?.innerText === 'newer'")
    after = page.run("caches.keys()")
    assert len(before) == len(after) == 1
    assert before != after


def test_a_server_that_lost_a_file_leaves_the_stored_one_alone(stored: tuple[Page, int], newer: Path) -> None:
    (newer / "model.onnx").write_bytes((newer / "model.onnx").read_bytes()[:-100])
    page, port = stored
    before = page.run("caches.keys()")
    with served(newer, port) as (address, _):
        page.open(address)
        page.run("navigator.serviceWorker.getRegistration().then((r) => r.update()).catch(() => null)")
        page.wait_for("navigator.serviceWorker.getRegistration().then((r) => !r.installing)")
        assert page.run("caches.keys()") == before
        page.open(address)
        ready(page)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"no picture"),
        ("empty.png", b""),
        ("cut.png", png(Image.fromarray(noise(80, 80, 3)))[:9000]),
        ("cut.jpg", encoded(Image.fromarray(noise(80, 80, 3)), "JPEG")[:3000]),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ],
)
def test_a_file_that_is_no_picture_is_named(page: Page, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert choose(page, tmp_path / name).startswith(f"“{name}” is no picture that this browser can read")
    (tmp_path / "good.png").write_bytes(png(Image.fromarray(noise(8, 8))))
    choose(page, tmp_path / "good.png")
    assert text(page, "problem") == ""


def test_a_picture_that_would_fill_the_memory_is_refused(page: Page, tmp_path: Path) -> None:
    Image.new("1", (11_000, 10_000)).save(tmp_path / "large.png")
    assert choose(page, tmp_path / "large.png").startswith(
        "This picture has 11000 × 10000 pixels, over 100 million"
    )


def test_a_large_photo_is_classified(page: Page, tmp_path: Path) -> None:
    Image.fromarray(noise(30, 40, 3)).resize((4000, 3000)).save(tmp_path / "photo.jpg")
    assert choose(page, tmp_path / "photo.jpg") in {str(number) for number in range(10)}
    assert "4000 × 3000 pixels" in text(page, "times")


@pytest.mark.parametrize(
    ("name", "keep", "problem"),
    [
        ("model.onnx", -100, "model.onnx is damaged: it has"),
        ("runtime.bin", 1000, "runtime.bin is damaged: it has 1000 bytes instead of"),
        ("card.json", 20, "card.json is damaged"),
        ("files.js", 20, "A file is missing or damaged"),
        ("model.onnx", None, "model.onnx cannot be read from the server (404"),
        ("runtime.js", None, "A file is missing or damaged"),
    ],
)
def test_a_package_that_is_not_whole_says_so(
    copied: Path, tmp_path: Path, name: str, keep: int | None, problem: str
) -> None:
    data = (copied / name).read_bytes()
    (copied / name).unlink()
    if keep is not None:
        (copied / name).write_bytes(data[:keep])
    with served(copied) as (address, _), chromium(tmp_path / "profile") as page:
        page.open(address)
        page.wait_for("!document.getElementById('problem').hidden")
        assert problem in text(page, "problem")
        assert page.run("document.getElementById('file').disabled")
        page.wait_for("document.getElementById('offline').innerText !== ''")
        assert text(page, "offline").startswith("Not stored for use offline")
        assert page.run("caches.keys()") == []


def test_a_device_without_a_camera_says_so(page: Page) -> None:
    page.run("document.getElementById('camera').click()")
    page.wait_for("!document.getElementById('problem').hidden")
    assert text(page, "problem") == "This device has no camera. Choose a photo instead."
    assert page.run("document.getElementById('viewfinder').hidden")


def test_the_camera_takes_what_its_viewfinder_shows(package: Path, tmp_path: Path) -> None:
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with served(package) as (address, _), chromium(tmp_path / "profile", flags) as page:
        page.open(address)
        ready(page)
        page.run("document.getElementById('camera').click()")
        page.wait_for("!document.getElementById('shoot').hidden")
        assert page.run("viewfinder.offsetWidth === viewfinder.offsetHeight")
        page.run("document.getElementById('shoot').click()")
        page.wait_for("!document.getElementById('answer').hidden")
        page.wait_for("preview.complete")
        width, height = page.run("[preview.naturalWidth, preview.naturalHeight]")
        assert width == height > 100  # the digits are square, the camera is not
        assert page.run("document.getElementById('viewfinder').srcObject") is None


def test_a_folder_opened_by_double_click_says_that_it_needs_a_server(package: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        page.open((package / "index.html").as_uri())
        page.wait_for("!document.getElementById('problem').hidden")
        assert "has to come from a web server" in text(page, "problem")
