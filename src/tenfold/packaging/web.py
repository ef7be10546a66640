"""The web package: a folder for any static server, with a page that classifies pictures on the device."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from tenfold.core.errors import ExportError
from tenfold.packaging.contents import Contents
from tenfold.packaging.folder import put_contents
from tenfold.packaging.options import PackOptions
from tenfold.packaging.web_runtime import web_runtime
from tenfold_runner.manifest import MANIFEST

__all__ = ["build_web"]

_WORKER = "service-worker.js"
_ICON_SIZES = (192, 512)  # what browsers ask for before they install a page
_BLUE, _WHITE = (11, 98, 196), (255, 255, 255)


def build_web(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Put the page, what it needs, network and card into `folder`.

    Args:
        contents: network and card.
        folder: exists and is empty.
        options: `icon` is heeded.

    Raises:
        ExportError: the icon is no picture; or as `tenfold.packaging.web_runtime.web_runtime`.
    """
    put_contents(contents, folder)
    page = _page()
    worker = page.pop(_WORKER)
    for name, data in {**page, **_runtime(), **_installing(contents.card, options.icon)}.items():
        (folder / name).write_bytes(data)
    (folder / _WORKER).write_bytes(_stored(folder) + worker)


def _page() -> dict[str, bytes]:
    """The page and its scripts, which are the same in every package; name to content."""
    return {entry.name: entry.read_bytes() for entry in (files("tenfold.packaging") / "web").iterdir()}


def _runtime() -> dict[str, bytes]:
    """What runs the network, with its licences."""
    runtime = web_runtime()
    return {
        "runtime.js": runtime.script,  # many servers give .mjs a type that browsers refuse
        # a fourth of the size; of this name servers know no type by which they would unpack it
        "runtime.bin": gzip.compress(runtime.wasm, 9, mtime=0),
        "licences.txt": runtime.licences.encode(),
    }


def _installing(card: dict[str, Any], picture: Path | None) -> dict[str, bytes]:
    """What makes the page installable."""
    icons = {f"icon-{size}.png": data for size, data in _icons(picture).items()}
    return {"app.webmanifest": _json(_app(card)), **icons}


def _stored(folder: Path) -> bytes:
    """What the service worker must know: the files to keep, and a version that changes with any of them."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in sorted(folder.iterdir())}
    version = hashlib.sha256(repr(hashes).encode()).hexdigest()[:16]
    checks = {name: f"sha256-{base64.b64encode(digest).decode()}" for name, digest in hashes.items()}
    # the manifest lists the worker, so the worker cannot know its hash
    package = _json({"version": version, "files": {**checks, MANIFEST: ""}})
    return b"const PACKAGE = " + package.rstrip() + b";\n"


def _app(card: dict[str, Any]) -> dict[str, Any]:
    """The manifest of an app; every address is relative to the folder."""
    icons = [
        {"src": f"icon-{size}.png", "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        for size in _ICON_SIZES
        for purpose in ("any", "maskable")
    ]
    return {
        "name": card["name"],
        "short_name": card["name"],
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#ffffff",
        "icons": icons,
    }


def _json(value: Any) -> bytes:
    """A JSON file."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _icons(picture: Path | None) -> dict[int, bytes]:
    """The icon in all sizes, as PNG files; inside a frame of a tenth, which launchers may cut off."""
    if picture is None:
        return {size: _png(_bars(size)) for size in _ICON_SIZES}
    try:
        with Image.open(picture) as opened:
            image = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ExportError(f"icon {picture}: cannot be read as a picture ({error}); give a PNG file") from None
    return {size: _png(_framed(image, size)) for size in _ICON_SIZES}


def _framed(picture: Image.Image, size: int) -> Image.Image:
    """`picture`, as large as it fits, on white."""
    inside = ImageOps.contain(picture, (size * 4 // 5, size * 4 // 5))
    image = Image.new("RGB", (size, size), _WHITE)
    image.paste(inside, ((size - inside.width) // 2, (size - inside.height) // 2), inside)
    return image


def _bars(size: int) -> Image.Image:
    """Three bars that shrink."""
    image = Image.new("RGB", (size, size), _BLUE)
    draw = ImageDraw.Draw(image)
    for row, length in enumerate((0.5, 0.3, 0.1)):
        top = 0.28 + 0.16 * row
        box = [round(size * edge) for edge in (0.25, top, 0.25 + length, top + 0.12)]
        draw.rounded_rectangle(box, radius=size * 0.03, fill=_WHITE)
    return image


def _png(image: Image.Image) -> bytes:
    """The file of an image."""
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
