from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneblock.data.error_rate import edit_distance, error_rate, phoneme_error_rate, without_stress

SEQUENCES = st.lists(st.sampled_from("abc"), max_size=7)


def plain_distance(a, b) -> int:
    """The definition, by recursion."""

    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return distance(len(a), len(b))


@given(SEQUENCES, SEQUENCES)
def test_the_distance_is_its_definition(a, b):
    assert edit_distance(a, b) == plain_distance(a, b) == edit_distance(b, a)


@given(SEQUENCES, SEQUENCES, SEQUENCES)
def test_the_distance_is_a_metric(a, b, c):
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert edit_distance(a, []) == len(a)


def test_known_distances():
    assert edit_distance("kitten", "sitting") == 3 and edit_distance("sunday", "saturday") == 3


def test_a_rate_by_hand():
    # 1 substitution of 3, 1 insertion to 2, 0 of 4: 2 edits over 9 symbols, two words of three wrong.
    said = [["K", "AE1", "D"], ["AH0", "N", "T"], ["W", "ER1", "D", "Z"]]
    right = [[["K", "AE1", "T"]], [["AH0", "N"]], [["W", "ER1", "D", "Z"]]]
    found = error_rate(said, right)
    assert (found.edits, found.length, found.rate) == (2, 9, 2 / 9)
    assert found.word_error_rate == 2 / 3 and found.chosen == (0, 0, 0)
    assert phoneme_error_rate(said, right) == 2 / 9


def test_the_best_of_several_references_counts_and_is_told():
    right = [["EY1"], ["AH0"], ["AH0", "N"]]
    assert error_rate([["AH0"]], [right]).chosen == (1,)
    # One edit from the last two, of which the longer counts; the order does not matter.
    found = error_rate([["AH0", "T"]], [right])
    assert found.chosen == (2,) and (found.edits, found.length) == (1, 2)
    found = error_rate([["AH0", "T"]], [right[::-1]])
    assert found.chosen == (0,) and (found.edits, found.length) == (1, 2)
    # Of two that are alike in both the first.
    assert error_rate([["X"]], [[["Y"], ["Z"]]]).chosen == (0,)


def test_the_rate_is_of_the_sums_and_can_pass_one():
    assert phoneme_error_rate([["A"], list("BBBB")], [[["A"]], [["C"]]]) == 4 / 2
    assert phoneme_error_rate([[]], [[["A", "B"]]]) == 1


@given(st.lists(st.lists(SEQUENCES.filter(bool), min_size=1, max_size=3), min_size=1, max_size=4))
def test_what_is_right_has_no_errors(references):
    found = error_rate([right[-1] for right in references], references)
    assert found.edits == found.word_error_rate == 0 and found.rate == 0


@pytest.mark.parametrize(
    ("said", "right", "words"),
    [
        ([], [], "0 hypotheses"),
        ([["A"]], [], "1 hypotheses and 0"),
        ([["A"], ["B"]], [[["A"]], []], "hypothesis 1 has no reference"),
        ([["A"]], [[["A"], []]], "hypothesis 0 has an empty reference"),
    ],
)
def test_nothing_to_compare_is_said(said, right, words):
    with pytest.raises(ValueError, match=words):
        error_rate(said, right)


def test_stress_can_be_left_out():
    assert without_stress(["AH0", "K", "AE1", "ER2"]) == ["AH", "K", "AE", "ER"]
