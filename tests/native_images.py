"""Files of all kinds of images that the native program reads, and of those it refuses."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def photo(width: int, height: int) -> Image.Image:
    """Soft colours with noise."""
    noise = np.random.default_rng(width * height).integers(0, 90, (height, width, 3))
    slopes = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 65, width))[..., None]
    return Image.fromarray((noise + slopes).astype(np.uint8))


KINDS: dict[str, Callable[[Path], object]] = {
    "rgb.png": lambda p: photo(15, 20).save(p),
    "smaller.png": lambda p: photo(7, 5).save(p),
    "larger.png": lambda p: photo(161, 90).save(p),
    "wide.png": lambda p: photo(300, 3).save(p),
    "tall.png": lambda p: photo(9, 400).save(p),
    "narrower.png": lambda p: photo(12, 64).save(p),
    "one pixel.png": lambda p: photo(1, 1).save(p),
    "rgba.png": lambda p: photo(15, 20).convert("RGBA").save(p),
    "half transparent.png": lambda p: Image.merge(
        "RGBA", [*photo(33, 20).split(), photo(33, 20).split()[0]]
    ).save(p),
    "grey.png": lambda p: photo(33, 20).convert("L").save(p),
    "grey with alpha.png": lambda p: photo(33, 20).convert("LA").save(p),
    "palette.png": lambda p: photo(33, 20).quantize(200).save(p),
    "palette of 4 bits.png": lambda p: photo(33, 20).quantize(13).save(p, bits=4),
    "palette of 2 bits.png": lambda p: photo(33, 20).quantize(4).save(p, bits=2),
    "palette of 1 bit.png": lambda p: photo(33, 20).quantize(2).save(p, bits=1),
    "black and white.png": lambda p: photo(33, 20).convert("1").save(p),
    "16 bits.png": lambda p: Image.fromarray(np.arange(660, dtype=np.uint16).reshape(20, 33) * 99).save(p),
    "stored.png": lambda p: photo(40, 30).save(p, compress_level=0),
    "small.png": lambda p: photo(40, 30).save(p, optimize=True),
    "fixed codes.png": lambda p: p.write_bytes(_png(40, 30, 8, 2, _rows(photo(40, 30)), zlib.Z_FIXED)),
    "flat.png": lambda p: Image.new("RGB", (500, 400), (9, 200, 3)).save(p),
    "rgb of 16 bits.png": lambda p: p.write_bytes(_png(5, 4, 16, 2, (b"\0" + bytes(range(90, 120))) * 4)),
    "rgb.ppm": lambda p: photo(33, 20).save(p),
    "grey.pgm": lambda p: photo(33, 20).convert("L").save(p),
    "comment.ppm": lambda p: p.write_bytes(b"P6 # a\n2#b\n 1\n255\n" + bytes(range(100, 106))),
}
"""Name -> writes a file of that kind."""


def _rows(image: Image.Image) -> bytes:
    """The lines of a PNG file, each with the filter "none"."""
    return b"".join(b"\0" + row.tobytes() for row in np.asarray(image))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(
    width: int,
    height: int,
    bits: int,
    colour: int,
    rows: bytes,
    strategy: int = zlib.Z_DEFAULT_STRATEGY,
    laced: int = 0,
) -> bytes:
    """A PNG file made by hand."""
    packer = zlib.compressobj(strategy=strategy)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, laced)
    return _of_packed(header, packer.compress(rows) + packer.flush())


def _of_packed(header: bytes, packed: bytes) -> bytes:
    """A PNG file of data that are packed already, in two chunks."""
    half = len(packed) // 2
    chunks = (
        _chunk(b"IHDR", header),
        _chunk(b"IDAT", packed[:half]),
        _chunk(b"IDAT", packed[half:]),
        _chunk(b"tEXt", b"a\0b"),
        _chunk(b"IEND", b""),
    )
    return b"".join((b"\x89PNG\r\n\x1a\n", *chunks))


TWO_PIXELS = struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0)

BROKEN = {
    "interlaced": (_png(2, 2, 8, 2, b"", laced=1), b"interlaced; save it without"),
    "cut off": (_png(40, 30, 8, 2, _rows(photo(40, 30)))[:-400], b"cut off"),
    "too few rows": (_png(40, 30, 8, 2, _rows(photo(40, 29))), b"compressed data is broken or cut off"),
    "wrong bits": (_png(2, 2, 4, 2, b""), b"number of bits"),
    "no kind of colour": (_png(2, 2, 8, 5, b""), b"kind of colour"),
    "palette is missing": (_png(2, 2, 8, 3, b"\0\0\0" * 2), b"no palette"),
    "no pixels": (_png(0, 2, 8, 2, b""), b"no pixels"),
    "bomb": (_png(100_000, 100_000, 8, 2, b""), b"more than 178,956,970"),
    "wrong filter": (_png(2, 2, 8, 0, b"\5\0\0\0\0\0"), b"row of pixels is damaged"),
    "copied from before the start": (
        _of_packed(TWO_PIXELS, b"\x78\x01\x03\x02" + bytes(9)),
        b"broken or cut off",
    ),
    "wrong checksum": (
        _png(2, 2, 8, 2, bytes(14)).replace(b"a\0b", b"a\0c"),
        b": it is damaged (wrong checksum)",
    ),
    "16-bit ppm": (b"P6 1 1 65535\n" + bytes(6), b"highest value is not 255"),
    "short ppm": (b"P6 3 3 255\n" + bytes(26), b"cut off"),
    "ppm without end": (b"P6 3 ", b"make no sense"),
    "huge ppm": (b"P5 999999999 999999999 255\n", b"make no sense"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(100), b"neither PNG"),
    "empty": (b"", b"neither PNG"),
    "one number too few": (bytes(4 * 63), b"as many float32 numbers"),
}
"""What is wrong -> (file, words of the error)."""
