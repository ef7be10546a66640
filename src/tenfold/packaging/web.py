"""The web package: a folder for any static server, with a page that classifies pictures on the device."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tempfile
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tenfold.packaging.contents import CARD, MODEL, Contents
from tenfold.packaging.folder import put_contents
from tenfold.packaging.icon import read_icon
from tenfold.packaging.licences import LICENCES, put_licences
from tenfold.packaging.options import PackOptions
from tenfold.packaging.web_runtime import web_runtime

__all__ = ["build_web"]

_WORKER = "service-worker.js"
_WASM = "runtime.bin"
_ICON_SIZES = (192, 512)  # what browsers ask for before they install a page
_BLUE, _WHITE = (11, 98, 196), (255, 255, 255)


def build_web(contents: Contents, folder: Path, options: PackOptions) -> None:
    """Put the page, what it needs, network and card into `folder`.

    Args:
        contents: network and card.
        folder: exists and is empty.
        options: `icon` is heeded.

    Raises:
        ExportError: the icon is no picture, a licence is missing, or as
            `tenfold.packaging.web_runtime.web_runtime`.
    """
    put_contents(contents, folder, PackOptions())
    page = _page()
    worker = page.pop(_WORKER)
    for name, data in {**page, **_runtime(), **_installing(contents.card, options.icon)}.items():
        (folder / name).write_bytes(data)
    (folder / "files.js").write_bytes(_loaded(folder))
    (folder / _WORKER).write_bytes(_stored(folder) + worker)


def _page() -> dict[str, bytes]:
    """The page and its scripts, which are the same in every package; name to content."""
    return {entry.name: entry.read_bytes() for entry in (files("tenfold.packaging") / "web").iterdir()}


def _runtime() -> dict[str, bytes]:
    """What runs the network, and the licences."""
    runtime = web_runtime()
    return {
        "runtime.js": runtime.script,  # many servers give .mjs a type that browsers refuse
        # a fourth of the size; of this name servers know no type by which they would unpack it
        _WASM: gzip.compress(runtime.wasm, 9, mtime=0),
        "licences.txt": _licences(),
    }


def _licences() -> bytes:
    """The licences of all that ships, as text; the npm package of ONNX Runtime has none, its wheel has."""
    with tempfile.TemporaryDirectory(prefix="tenfold-licences-") as name:
        put_licences(("tenfold", "onnxruntime"), Path(name))
        texts = sorted(path for path in (Path(name) / LICENCES).rglob("*") if path.is_file())
        parts = [f"{path.parent.name}: {path.name}\n\n{path.read_text('utf-8').strip()}\n" for path in texts]
    return "\n\n".join(parts).encode()


def _installing(card: dict[str, Any], picture: Path | None) -> dict[str, bytes]:
    """What makes the page installable."""
    icons = {f"icon-{size}.png": data for size, data in _icons(picture).items()}
    return {"app.webmanifest": _json(_app(card)), **icons}


def _loaded(folder: Path) -> bytes:
    """What the page must know of the large files to tell a damaged one, as a module."""
    known = {
        name: {"integrity": _integrity(data), "bytes": len(data)}
        for name in (CARD, MODEL, _WASM)
        for data in [(folder / name).read_bytes()]
    }
    return b"export const FILES = " + _json(known).rstrip() + b";\n"


def _stored(folder: Path) -> bytes:
    """What the service worker must know: the files to keep, and a version that changes with any of them."""
    kept = {path.name: _integrity(path.read_bytes()) for path in sorted(folder.iterdir())}
    version = hashlib.sha256(repr(kept).encode()).hexdigest()[:16]
    return b"const PACKAGE = " + _json({"version": version, "files": kept}).rstrip() + b";\n"


def _integrity(data: bytes) -> str:
    """The hash of a file in the form that browsers check."""
    return f"sha256-{base64.b64encode(hashlib.sha256(data).digest()).decode()}"


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
    """The icon in all sizes, as PNG files."""
    given = None if picture is None else read_icon(picture)
    return {size: _png(_bars(size) if given is None else _framed(given, size)) for size in _ICON_SIZES}


def _framed(picture: Image.Image, size: int) -> Image.Image:
    """`picture` on white, inside a frame of a tenth, which launchers may cut off."""
    inside = picture.resize((size * 4 // 5, size * 4 // 5), Image.Resampling.LANCZOS)
    image = Image.new("RGB", (size, size), _WHITE)
    image.paste(inside, (size // 10, size // 10), inside)
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
