import pytest
import torch

from oneblock.decoding.errors import GenerateError
from oneblock.decoding.window import Rows, lengths_of, window_start


@pytest.mark.parametrize("context", [1, 2, 3, 7, 8, 13])
def test_window_start_is_the_smallest_multiple_that_fits(context):
    hop = max(1, context // 2)
    for length in range(6 * context):
        fits = [start for start in range(0, length + hop + 1, hop) if length - start <= context]
        assert window_start(length, context) == fits[0]


def test_a_window_is_never_empty_and_moves_rarely():
    starts = [window_start(length, 13) for length in range(1, 500)]
    assert all(0 < length - start <= 13 for length, start in enumerate(starts, start=1))
    assert len(set(starts)) <= 2 + 500 // 6


def test_rows_show_each_its_own_window():
    tokens = torch.tensor([[1, 2, 3, 4], [0, 0, 5, 6]])
    rows = Rows(tokens, [4, 2], more=3, context=5)
    shown, padding = rows.windows()
    assert shown.tolist() == tokens.tolist()
    assert padding.tolist() == [[False] * 4, [True, True, False, False]]
    assert rows.append(torch.tensor([7, 8])) is False
    assert rows.append(torch.tensor([9, 10])) is True  # the first row has six now: two of them go
    shown, padding = rows.windows()
    assert shown.tolist() == [[3, 4, 7, 9], [5, 6, 8, 10]]
    assert padding is None


def test_what_stands_at_pads_is_never_shown():
    rows = Rows(torch.tensor([[1, 2, 3], [-100, -100, 5]]), [3, 1], more=0, context=7)
    assert rows.windows()[0].tolist() == [[1, 2, 3], [0, 0, 5]]


def test_lengths():
    tokens = torch.ones(3, 4, dtype=torch.long)
    padding = torch.tensor([[False] * 4, [True, False, False, False], [True] * 3 + [False]])
    assert lengths_of(tokens, None) == [4, 4, 4]
    assert lengths_of(tokens, padding) == [4, 3, 1]


@pytest.mark.parametrize(
    ("padding", "says"),
    [
        ([[False, True, False], [False] * 3], "row 0 has a pad after a token; put all pads on the left"),
        ([[False] * 3, [False, False, True]], "row 1 has a pad after a token"),
        ([[False] * 3, [True] * 3], "row 1 is all pads"),
        ([[False] * 2, [False] * 2], r"of the tokens' shape \(2, 3\).*got torch.bool \(2, 2\)"),
        ([[0, 0, 0], [0, 0, 0]], "must be boolean"),
    ],
)
def test_wrong_padding_is_named(padding, says):
    with pytest.raises(GenerateError, match=says):
        lengths_of(torch.ones(2, 3, dtype=torch.long), torch.tensor(padding))
