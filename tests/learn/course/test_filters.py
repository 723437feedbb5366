"""How numbers are written in a page."""

import math

import numpy as np
import pytest
import torch

from oneblock.learn.course.filters import FILTERS, shown

num, vec, grid, percent, whole, sci = (FILTERS[name] for name in ("num", "vec", "grid", "percent", "int", "sci"))


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (1.2247, 3, "1.225"),
        (-1.2247, 3, "−1.225"),
        (-0.0001, 3, "0.000"),
        (-0.0, 1, "0.0"),
        (1234567.891, 2, "1,234,567.89"),
        (-math.inf, 3, "−∞"),
        (math.inf, 3, "∞"),
        (math.nan, 3, "NaN"),
        (3, 1, "3.0"),
        (torch.tensor(2.5), 1, "2.5"),
        (np.float64(-2.5), 0, "−2"),
        (-0.6, 0, "−1"),
    ],
)
def test_num(value, digits, words):
    assert num(value, digits) == words


def test_vec():
    assert vec([1.2247, 0.0, -1.2247]) == "[1.225, 0.000, −1.225]"
    assert vec([6, 3, -4]) == "[6, 3, −4]"
    # One with decimals gives all of them decimals.
    assert vec([1, 0.5, -2], 1) == "[1.0, 0.5, −2.0]"
    assert vec(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1) == "[[1.0, 2.0], [3.0, 4.0]]"
    assert vec(np.array([1, 2])) == "[1, 2]" and vec((True, None)) == "[True, –]" and vec([]) == "[]"


def test_grid():
    assert grid([[1.0, -2.0], [0.5, -math.inf]], 1).strip().splitlines() == [
        "|  |  |",
        "| ---: | ---: |",
        "| 1.0 | −2.0 |",
        "| 0.5 | −∞ |",
    ]
    # A column of whole numbers keeps them beside one with decimals.
    made = grid([[1, 0.25], [12, 0.5]], 2, heads=["layer", "size"], sides=["a", "b"]).strip().splitlines()
    assert made == ["|  | layer | size |", "| ---: | ---: | ---: |", "| **a** | 1 | 0.25 |", "| **b** | 12 | 0.50 |"]
    assert grid(torch.eye(2), 0).strip().splitlines()[-1] == "| 0 | 1 |"
    with pytest.raises(ValueError):
        grid([[1, 2], [3]])
    with pytest.raises(ValueError):
        grid([[1, 2]], heads=["one"])


def test_percent_int_sci():
    assert percent(0.1234) == "12.3\u00a0%" and percent(-0.5, 0) == "−50\u00a0%"
    assert whole(1234567.6) == "1,234,568" and whole(-2) == "−2" and whole(math.inf) == "∞"
    assert sci(0.0000123) == "1.23 × 10⁻⁵" and sci(-4.2e12, 1) == "−4.2 × 10¹²" and sci(0.0, 1) == "0.0"
    # 9.996 with two decimals is 10.00, which is 1.00 with the next power.
    assert sci(0.09996, 2) == "1.00 × 10⁻¹"


def test_what_a_call_gives():
    assert shown([1.0, 0.2]) == "[1.000, 0.200]" and shown(0.25, 1) == "0.2" and shown(7) == "7"
    assert shown([[1.0], [2.0]], 1) == "[1.0]\n[2.0]" and shown("as it is") == "as it is"
    assert shown(torch.tensor(1.5), 1) == "1.5" and shown(torch.ones(2), 1) == "[1.0, 1.0]"
    assert shown(([1.0], "x"), 1) == "[1.0]\nx" and shown({"a": 1}) == "{'a': 1}" and shown(True) == "True"
