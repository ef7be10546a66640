"""The picture of a package, in the forms that systems want."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tenfold.core.errors import ExportError
from tenfold_runner.package import ICON

__all__ = ["put_icon", "read_icon", "write_system_icon"]

_SIDE = 256
_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read_icon(path: Path) -> Image.Image:
    """A picture of 256x256, RGBA; another shape is centred on transparent ground.

    Raises:
        ExportError: the file is missing or no picture.
    """
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
    except _BROKEN as error:
        cause = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ExportError(
            f"icon {path}: cannot be read as a picture ({cause}); give a PNG, JPEG or ICO file"
        ) from None
    picture.thumbnail((_SIDE, _SIDE))
    square = Image.new("RGBA", (_SIDE, _SIDE))
    square.paste(picture, ((_SIDE - picture.width) // 2, (_SIDE - picture.height) // 2))
    return square


def put_icon(path: Path, folder: Path) -> None:
    """The picture of the window, into the package.

    Raises:
        ExportError: see `read_icon`.
    """
    read_icon(path).save(folder / ICON)


def write_system_icon(path: Path, folder: Path, system: str) -> Path | None:
    """The picture that Windows or macOS show for the program; None where programs carry none (Linux).

    Args:
        path: what the user gave.
        folder: where to write.
        system: what `sys.platform` says.
    """
    name = {"win32": "icon.ico", "darwin": "icon.icns"}.get(system)
    if name is None:
        return None
    read_icon(path).save(folder / name)
    return folder / name
