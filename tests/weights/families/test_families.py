"""What all tables share, and the one that the manual shows."""

from pathlib import Path

import pytest

import oneblock
from oneblock.weights import families
from oneblock.weights.families import FAMILIES
from oneblock.weights.families.common import pattern

ROOT = Path(oneblock.__file__).parents[2]


def test_the_manual_shows_a_family_as_it_is():
    manual = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    table = (Path(families.__file__).parent / "qwen2.py").read_text(encoding="utf-8")
    assert f"```python\n{table}```" in manual


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_both_sides_of_a_row_have_a_layer_or_neither(family):
    for table in (family.rows, *family.layouts):
        for row in table:
            layered = {"{i}" in name for name in (*row.ours, *row.theirs)}
            assert len(layered) == 1, f"{row.ours} and {row.theirs} differ in having a layer"


@pytest.mark.parametrize(
    ("entries", "shortest"),
    [("aaaa", "a"), ("abab", "ab"), ("aba", "ab"), ("abc", "abc"), ("aab", "aab"), ("aabaa", "aab"), ("a", "a")],
)
def test_the_shortest_pattern(entries, shortest):
    assert pattern(list(entries)) == tuple(shortest)
