"""The web package as files: what depends on what."""

from __future__ import annotations

import base64
import hashlib
import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tenfold.core.errors import ExportError
from tenfold.packaging import web
from tenfold.packaging.contents import Contents
from tenfold.packaging.options import PackOptions
from tenfold.packaging.web import build_web
from tenfold.packaging.web_runtime import web_runtime
from tenfold_runner.card import READING

CARD = {
    "format": 1,
    "name": "Größte Fische",
    "version": "2",
    "network": "tiny",
    "classes": ["a", "b"],
    "input": [3, 4, 4],
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "reading": {"colour": "rgb", **READING},
    "before": {},
    "after": {},
    "images": "fish",
}


def stored(folder: Path) -> dict[str, dict[str, str]]:
    text = web._stored(folder).decode()
    return dict(json.loads(text.removeprefix("const PACKAGE = ").removesuffix(";\n")))


def test_the_worker_gets_the_hash_of_every_file_and_a_version_that_changes_with_any_of_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"2")
    first = stored(tmp_path)
    digest = base64.b64encode(hashlib.sha256(b"1").digest()).decode()
    assert first["files"] == {"a": first["files"]["a"], "b": f"sha256-{digest}"}
    assert stored(tmp_path) == first
    (tmp_path / "b").write_bytes(b"3")
    assert stored(tmp_path)["version"] != first["version"]


def test_the_page_knows_the_way_of_reading_images_that_cards_ask_for() -> None:
    # image.js and preprocess.js do this and nothing else
    assert READING == {
        "resize": "bilinear",
        "proportions": "stretched",
        "orientation": "upright",
        "frame": "first",
    }


def test_an_app_has_only_relative_addresses_and_icons_of_the_sizes_it_names() -> None:
    files = web._installing(CARD, None)
    app = json.loads(files["app.webmanifest"])
    assert (app["name"], app["start_url"], app["scope"]) == ("Größte Fische", "./", "./")
    for icon in app["icons"]:
        with Image.open(BytesIO(files[icon["src"]])) as image:
            assert f"{image.width}x{image.height}" == icon["sizes"]


def test_an_icon_of_the_users_lies_inside_what_launchers_leave(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "red.png")
    files = web._installing(CARD, tmp_path / "red.png")
    with Image.open(BytesIO(files["icon-512.png"])) as image:
        assert image.getpixel((256, 256)) == (255, 0, 0)
        assert image.getpixel((40, 256)) == (255, 255, 255)


def test_an_icon_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(ExportError, match="cannot be read as a picture"):
        web._installing(CARD, tmp_path / "a.png")


@pytest.mark.slow
def test_two_builds_of_the_same_contents_have_the_same_bytes(tmp_path: Path) -> None:
    contents = Contents(b"model", CARD)
    built = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        build_web(contents, tmp_path / name, PackOptions())
        built.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert built[0] == built[1]
    assert built[0]["model.onnx"] == b"model"
    assert json.loads(built[0]["card.json"]) == CARD
    assert built[0]["runtime.js"] == web_runtime().script
    licences = built[0]["licences.txt"].decode()
    assert "Microsoft Corporation" in licences
    assert "The tenfold authors" in licences
