"""Tokens into groups, in the order in which they find places, and back."""

import pytest
import torch

from oneblock.nn.experts.groups import Groups

B, T = 3, 10
X = torch.arange(B * T * 2).view(B, T, 2)


@pytest.mark.parametrize("size", [None, 1, 3, 5, 10, 11])
def test_there_and_back(size):
    groups = Groups(B, T, size)
    assert torch.equal(groups.join(groups.split(X)), X)


def test_the_whole_batch_goes_column_by_column():
    split = Groups(B, T, None).split(X)
    assert split.shape == (1, B * T, 2)
    assert torch.equal(split[0, : B + 1], torch.stack([X[0, 0], X[1, 0], X[2, 0], X[0, 1]]))


def test_groups_are_neighbours_of_one_row():
    groups = Groups(B, T, 5)
    assert groups.split(X).shape == (6, 5, 2) and torch.equal(groups.split(X)[3], X[1, 5:])
    assert groups.real(None, X) is None


def test_what_fills_up_a_row_is_not_real():
    groups = Groups(B, T, 4)
    real = groups.real(None, X)
    assert groups.split(X).shape == (9, 4, 2)
    assert real.shape == (9, 4) and real.view(B, 12)[:, :T].all() and not real.view(B, 12)[:, T:].any()
    pads = torch.ones(B, T, dtype=torch.bool)
    pads[1, :7] = False
    assert torch.equal(groups.join(groups.real(pads, X)), pads)
