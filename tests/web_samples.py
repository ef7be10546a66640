"""Networks to pack for the browser, and pictures of all kinds for its page."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms
from safetensors.torch import save_file

from tenfold.config import CompressSettings
from tenfold.data.source import load_data
from tenfold.deploy.onnx import export_onnx
from tenfold.jobs.compress import run
from tenfold.packaging.contents import Contents
from tenfold.runs.directory import RunDirectory
from tenfold.zoo.build import build

DIGITS = {
    "arch": "small",
    "data": "digits",
    "budget": {"params": 0.4},
    "scheme": "svd",
    "calibration": 64,
    "held_out": 100,
    "recovery_steps": 20,
    "workers": 1,
}


def digits_run(folder: Path) -> RunDirectory:
    """A network trained on the digits for some seconds, then compressed."""
    network = build("small", classes=10, channels=1)
    data = load_data("digits")
    images, labels = data.preprocessing.apply(data.train.images), data.train.labels
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, nesterov=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimiser.step()
    save_file(network.state_dict(), folder / "weights.safetensors")
    settings = {**DIGITS, "weights": folder / "weights.safetensors", "cache": folder / "cache"}
    return run(CompressSettings.make({**settings, "out": folder / "run"}))


def contents_of(network: torch.nn.Module, card: dict[str, object], folder: Path) -> Contents:
    """A network that is not compressed, under a card of its own."""
    channels, height, width = card["input"]  # type: ignore[misc]
    file = export_onnx(network, folder / "other.onnx", (channels, height, width))
    return Contents(file.read_bytes(), card)


def png(image: Image.Image, **options: object) -> bytes:
    """The image as a PNG file."""
    return encoded(image, "PNG", **options)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    """Random bytes, the same for the same shape."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def pictures() -> dict[str, bytes]:
    """Files of which a browser that applies colour profiles, gamma or transparency makes other pixels."""
    smooth = Image.fromarray(noise(9, 7, 3)).resize((60, 80), Image.Resampling.BICUBIC)
    palette, plain = smooth.quantize(64), png(smooth)
    standard = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = standard.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    return {
        "rgb": png(Image.fromarray(noise(20, 30, 3))),
        "more than is read at once": png(smooth.resize((1500, 1200))),
        "transparent": png(Image.fromarray(noise(20, 30, 4), "RGBA")),
        "transparent grey": png(Image.fromarray(noise(20, 30, 2), "LA")),
        "grey": png(Image.fromarray(noise(20, 30))),
        "black and white": png(Image.fromarray(noise(20, 30)).convert("1")),
        "palette": png(palette),
        "palette, a colour is transparent": png(palette, transparency=3),
        "profile that swaps red and blue": png(smooth, icc_profile=profile),
        "gamma": with_chunk(plain, b"gAMA", struct.pack(">I", 100_000)),
        "JPEG": encoded(smooth, "JPEG", quality=90),
        "grey JPEG": encoded(smooth.convert("L"), "JPEG"),
        "WebP": encoded(smooth, "WEBP", lossless=True),
        "animation": encoded(palette, "GIF", save_all=True, append_images=[Image.new("P", smooth.size, 3)]),
    }


def with_chunk(file: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG file with another chunk before its pixels."""
    place = file.index(b"IDAT") - 4
    return file[:place] + chunk(kind, data) + file[place:]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A piece of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
