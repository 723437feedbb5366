"""A PNG read again by its own rules, and where images stand in a grid."""

import struct
import zlib

import numpy as np
import pytest
import torch

from oneblock import OneblockError
from oneblock.inspect.png import PAPER, image_grid, png


def chunks(file):
    assert file[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    place = 8
    while place < len(file):
        (length,) = struct.unpack(">I", file[place : place + 4])
        kind, data = file[place + 4 : place + 8], file[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", file[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + data)
        yield kind, data
        place += 12 + length


def decoded(file):
    found = list(chunks(file))
    assert [kind for kind, _ in found] == [b"IHDR", b"IDAT", b"IEND"] and found[2][1] == b""
    width, height, depth, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", found[0][1])
    assert (depth, compression, filters, interlace) == (8, 0, 0, 0)
    channels = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(found[1][1]), np.uint8).reshape(height, 1 + channels * width)
    assert not rows[:, 0].any()
    pixels = rows[:, 1:].reshape(height, width, channels)
    return pixels[..., 0] if channels == 1 else pixels


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (5, 7, 3), (31, 2)])
def test_what_is_written_is_read(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert (decoded(png(pixels)) == pixels).all()


def test_a_grid_has_one_row_for_each_class():
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 3, 5) + 10
    page = image_grid(images, columns=2, gap=1)
    assert page.shape == (3 * 4 + 1, 2 * 6 + 1)
    assert page[1, 1] == page[3, 5] == 10 and page[1, 7] == 11 and page[5, 1] == 12 and page[-2, -2] == 15
    border = page.copy()
    for row in range(3):
        for column in range(2):
            border[1 + 4 * row : 4 + 4 * row, 1 + 6 * column : 6 + 6 * column] = PAPER
    assert (border == PAPER).all()


def test_colours_bytes_without_channel_and_a_row_that_is_not_full():
    images = np.random.default_rng(1).integers(0, 256, (3, 3, 4, 2), dtype=np.uint8)
    page = image_grid(images, columns=2, gap=0, scale=2)
    assert page.shape == (16, 8, 3) and (page[8:, 4:] == PAPER).all()
    assert (page[:8:2, 4::2].transpose(2, 0, 1) == images[1]).all() and (page[1:8:2, 5::2, 0] == images[1, 0]).all()
    assert (image_grid(images[:, 0], 3, gap=0) == np.concatenate(list(images[:, 0]), 1)).all()


@pytest.mark.parametrize(
    ("shape", "dtype", "columns"),
    [((2, 2, 3, 3), "uint8", 1), ((2, 3, 3), "float32", 1), ((0, 3, 3), "uint8", 1), ((2, 3, 3), "uint8", 0)],
)
def test_what_no_grid_is_made_of(shape, dtype, columns):
    with pytest.raises(OneblockError, match="a grid is made of bytes"):
        image_grid(np.zeros(shape, dtype), columns)


@pytest.mark.parametrize(("shape", "dtype"), [((2, 3, 2), "uint8"), ((2, 3), "int64"), ((0, 3), "uint8")])
def test_what_no_file_is_made_of(shape, dtype):
    with pytest.raises(OneblockError, match="a PNG is made of bytes"):
        png(np.zeros(shape, dtype))
