from hypothesis import given
from hypothesis import strategies as st

from oneblock.data.pieces import pieces

WORDY = st.text(alphabet="ab ,\n\t'é", max_size=80)


@given(text=WORDY, size=st.integers(1, 13), start=st.integers(0, 20), stop=st.integers(0, 100))
def test_pieces_are_the_text(text, size, start, stop):
    assert "".join(pieces(text, start, stop, size)) == text[start:stop]


@given(text=WORDY, size=st.integers(1, 13))
def test_a_piece_is_at_most_twice_the_size(text, size):
    cut = list(pieces(text, size=size))
    assert all(cut) and all(len(piece) <= 2 * size for piece in cut)


def test_the_cut_is_before_the_first_blank_after_a_character():
    assert list(pieces("abc  def\n\nghi", size=5)) == ["abc  def", "\n\nghi"]
    assert list(pieces("abcdefghij", size=3)) == ["abc", "def", "ghij"]


def test_no_cut_inside_a_run_of_blanks():
    assert list(pieces("abcdef  ghi jkl", size=7)) == ["abcdef  ghi", " jkl"]
