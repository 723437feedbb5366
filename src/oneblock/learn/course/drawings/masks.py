"""The causal mask, painted: T rows of T marks."""

from __future__ import annotations

import re
from collections.abc import Callable

from oneblock.learn.course.drawings import catalogue
from oneblock.learn.course.drawings.drawing import Check, Drawing, Finding, Given, Wrong
from oneblock.learn.course.drawings.sheet import Sheet

MARKS = {"#": True, ".": False, "1": True, "0": False, "x": True, "_": False, "X": True, "■": True, "□": False}
TASK = """
Paint the causal mask of T tokens.

Row i is a token that looks, column j one that is looked at: both are counted from the first token, top and left.
#  it may look there      .  it may not            (1 and 0, or x and _, do as well; spaces do not count)

A decoder guesses the next token from those up to now. So whom may each one see? Write T rows of T marks below.
Lines that begin with // are not read. `oneblock check draw_causal_mask` says whether it is right.
Take this file away, and `oneblock learn` makes a new one with other numbers.
"""
Mask = tuple[tuple[bool, ...], ...]
Rule = Callable[[int, int], bool]
"""May token i see token j?"""


def painted(sheet: Sheet, given: Given) -> tuple[Mask, tuple[int, ...]] | Finding:
    """The mask, and the lines of its rows."""
    size = int(given["T"])
    rows, at = [], []
    for line in sheet.lines:
        marks = re.sub(r"[\s,;|\[\]]", "", line.text)
        if other := [mark for mark in marks if mark not in MARKS]:
            return Finding(message=f"{other[0]!r} is no mark: # or . (1 or 0, x or _)", line=line.number)
        rows.append(tuple(MARKS[mark] for mark in marks))
        at.append(line.number)
    if not rows:
        return Finding(message=f"nothing is painted yet: {size} rows of {size} marks")
    for row, number in zip(rows, at, strict=True):
        if len(row) != size:
            message = f"this row has {len(row)} marks and T is {size}: each of {size} tokens needs a column"
            return Finding(message=message, line=number, named="wrong_size")
    if len(rows) != size:
        message = f"there are {len(rows)} rows and T is {size}: each of {size} tokens looks, so each needs a row"
        return Finding(message=message, line=at[-1], named="wrong_size")
    return tuple(rows), tuple(at)


def grid(mask: Mask) -> str:
    """A mask as text."""
    return "\n".join("".join("#" if seen else "." for seen in row) for row in mask)


def made(size: int, allowed: Rule) -> Mask:
    """The mask of a rule (i, j) -> may i see j."""
    return tuple(tuple(allowed(i, j) for j in range(size)) for i in range(size))


def right(given: Given) -> str:
    """The lower triangle with its diagonal."""
    return grid(made(int(given["T"]), lambda i, j: j <= i))


def wrong(given: Given) -> tuple[Wrong, ...]:
    """Masks that people paint in its place."""
    size = int(given["T"])
    rules: dict[str, Rule] = {
        "one_too_far": lambda i, j: j <= i + 1,
        "no_diagonal": lambda i, j: j < i,
        "transposed": lambda i, j: j >= i,
        "inverted": lambda i, j: j > i,
        "no_mask": lambda i, j: True,
        "only_itself": lambda i, j: i == j,
        "mirrored": lambda i, j: j >= size - 1 - i,
        "upside_down": lambda i, j: j <= size - 1 - i,
        "two_back": lambda i, j: i - 1 <= j <= i,
        "first_hidden": lambda i, j: j <= i and (j > 0 or i == 0),
        "prefix": lambda i, j: j < (size + 1) // 2 or j <= i,
        "nothing": lambda i, j: False,
    }
    says = catalogue.says("causal_mask")
    return tuple(Wrong(name=name, says=says[name], text=grid(made(size, rule))) for name, rule in rules.items())


def _rows(sheet: Sheet, given: Given) -> Finding | None:
    found = painted(sheet, given)
    return found if isinstance(found, Finding) else None


def _diagonal(sheet: Sheet, given: Given) -> Finding | None:
    return _cells(sheet, given, lambda i, j: i == j, "a token may see itself")


def _past(sheet: Sheet, given: Given) -> Finding | None:
    return _cells(sheet, given, lambda i, j: j < i, "it came before, so it may be seen")


def _future(sheet: Sheet, given: Given) -> Finding | None:
    return _cells(sheet, given, lambda i, j: j > i, "it comes later, so it may not be seen")


def _cells(sheet: Sheet, given: Given, part: Rule, why: str) -> Finding | None:
    """The first wrong cell of a part of the mask, named as a misconception where the whole mask is one."""
    found = painted(sheet, given)
    assert not isinstance(found, Finding)
    mask, at = found
    cells = [(i, j) for i in range(len(mask)) for j in range(len(mask)) if part(i, j) and mask[i][j] != (j <= i)]
    if not cells:
        return None
    i, j = cells[0]
    place = f"row {i + 1}, column {j + 1} is {'#' if mask[i][j] else '.'}: {why}"
    known = next((each for each in wrong(given) if each.text == grid(mask)), None)
    message = f"you have painted {known.says} ({place})" if known else f"{place}; {_count(len(cells))}"
    return Finding(message=message, line=at[i], named=known.name if known else "")


def _count(number: int) -> str:
    return "no other cell of its kind is wrong" if number == 1 else f"{number - 1} more like it"


CAUSAL_MASK = Drawing(
    name="causal_mask",
    title="The causal mask: paint who sees whom",
    task=TASK,
    given={"T": (5, 7, 11)},
    begun=lambda given: "",
    checks=(
        Check(id="square", run=_rows),
        Check(id="nothing_ahead", run=_future),
        Check(id="itself", run=_diagonal),
        Check(id="all_before", run=_past),
    ),
    right=right,
    wrong=wrong,
)
