"""Patches: their order, the way back, and where each stands."""

import pytest
import torch

from oneblock.config import Learned, NoPosition, Sinusoidal2D
from oneblock.nn.context import Context
from oneblock.nn.patches import patch_position, patchify, unpatchify, waves_2d
from oneblock.nn.position import Position


@pytest.mark.parametrize(("channels", "height", "width", "patch"), [(3, 6, 10, 2), (1, 9, 3, 3), (5, 7, 7, 1)])
def test_there_and_back(channels, height, width, patch):
    images = torch.randn(2, channels, height, width).double()
    tokens = patchify(images, patch)
    rows, columns = height // patch, width // patch
    assert tokens.shape == (2, rows * columns, patch * patch * channels)
    assert torch.equal(unpatchify(tokens, patch, (rows, columns)), images)
    for row in range(rows):
        for column in range(columns):
            tile = images[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            assert torch.equal(tokens[:, row * columns + column], tile.permute(0, 2, 3, 1).flatten(1))


def test_a_patch_is_a_convolution_of_that_stride():
    images, patch, width = torch.randn(2, 3, 6, 10).double(), 2, 7
    weight = torch.randn(width, 3, patch, patch).double()
    expected = torch.nn.functional.conv2d(images, weight, stride=patch).flatten(2).transpose(1, 2)
    found = patchify(images, patch) @ weight.permute(0, 2, 3, 1).flatten(1).T
    torch.testing.assert_close(found, expected)


def test_waves_of_a_grid_of_four():
    expected = [
        [0, 0, 1, 1, 0, 0, 1, 1],
        [0.841471, 0.01, 0.540302, 0.99995, 0, 0, 1, 1],
        [0, 0, 1, 1, 0.841471, 0.01, 0.540302, 0.99995],
        [0.841471, 0.01, 0.540302, 0.99995, 0.841471, 0.01, 0.540302, 0.99995],
    ]
    torch.testing.assert_close(waves_2d((2, 2), 8), torch.tensor(expected).double(), atol=1e-6, rtol=0)


def test_the_first_half_tells_the_column_also_where_the_grid_is_not_square():
    table = waves_2d((3, 5), 12).view(3, 5, 12)
    assert torch.equal(table[0, :, :6], table[2, :, :6]) and torch.equal(table[:, 0, 6:], table[:, 4, 6:])
    assert (table[0, 1, :6] != table[0, 0, :6]).any() and (table[1, 0, 6:] != table[0, 0, 6:]).any()


def test_schemes():
    x = torch.randn(2, 15, 12).double()
    ctx = Context(15, x.device, position=Position(), causal=False)
    assert torch.equal(patch_position(NoPosition(), (3, 5), 12).embed(x, ctx), x)
    fixed = patch_position(Sinusoidal2D(), (3, 5), 12)
    assert not list(fixed.parameters()) and not fixed.state_dict()
    assert torch.equal(fixed.embed(x, ctx), x + waves_2d((3, 5), 12))
    learned = patch_position(Learned(), (3, 5), 12).double()
    with torch.no_grad():
        learned.weight.normal_()
    assert learned.weight.shape == (15, 12) and torch.equal(learned.embed(x, ctx), x + learned.weight)
