"""Images laid out in a grid, and pixels as a PNG file."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneblock.config.errors import OneblockError

Bytes = NDArray[np.uint8]
PAPER = 128
"""The grey between the images of a grid."""


def image_grid(images: Any, columns: int, *, gap: int = 2, scale: int = 1) -> Bytes:
    """Images in rows of `columns`, with `gap` pixels of grey between and around them: H × W, or H × W × 3.

    images: bytes, N × H × W or N × C × H × W with C = 1 or 3, an array or a tensor; samples of ten classes in the
    order of their classes, `columns` of each, stand one class to a row. scale: pixels' size. OneblockError for others.
    """
    array = np.asarray(images)
    array = array[:, None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array) or columns < 1:
        raise OneblockError(
            f"a grid is made of bytes N × H × W or N × C × H × W, C = 1 or 3, in at least one column; "
            f"got {array.dtype} {array.shape} in {columns}"
        )
    array = array.repeat(scale, axis=2).repeat(scale, axis=3)
    number, channels, height, width = array.shape
    rows = -(-number // columns)
    page = np.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), PAPER, dtype=np.uint8)
    for index, image in enumerate(array):
        y, x = (gap + place * (side + gap) for place, side in zip(divmod(index, columns), (height, width), strict=True))
        page[:, y : y + height, x : x + width] = image
    return page[0] if channels == 1 else page.transpose(1, 2, 0)


def png(pixels: Bytes) -> bytes:
    """The file of an image H × W (grey) or H × W × 3 (red, green, blue), 8 bits a number (RFC 2083)."""
    if pixels.dtype != np.uint8 or (pixels.ndim != 2 and pixels.shape[2:] != (3,)) or 0 in pixels.shape:
        raise OneblockError(f"a PNG is made of bytes H × W or H × W × 3, got {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    colour = 0 if pixels.ndim == 2 else 2
    # In front of each row stands its filter: 0, none.
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, *zip(*chunks, strict=True)))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
