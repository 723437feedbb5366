"""How numbers are written in a page: `{{ x | num(3) }}`, `vec`, `grid`, `percent`, `int`, `sci`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MINUS = "−"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def num(value: Any, digits: int = 3) -> str:
    """With that many decimals, thousands with commas, a real minus; never −0.000."""
    number = float(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "∞" if number > 0 else f"{MINUS}∞"
    words = f"{abs(number):,.{digits}f}"
    return (MINUS if number < 0 and any(digit in words for digit in "123456789") else "") + words


def vec(values: Any, digits: int = 3) -> str:
    """[1.225, 0.000, −1.225]; lists of lists in the same way. Where all are whole numbers they stay so."""
    entries = listed(values)
    return (
        "["
        + ", ".join(
            vec(v, digits) if nested(v) else word for v, word in zip(entries, cells(entries, digits), strict=True)
        )
        + "]"
    )


def grid(
    rows: Any, digits: int = 2, heads: Sequence[object] | None = None, sides: Sequence[object] | None = None
) -> str:
    """Rows as a Markdown table. heads: words over the columns; sides: words before the rows.

    A column of whole numbers keeps them, words stay as they are, None becomes a dash.
    """
    columns = [cells(column, digits) for column in zip(*map(listed, listed(rows)), strict=True)]
    table = [list(row) for row in zip(*columns, strict=True)]
    top = [str(head) for head in heads] if heads else [""] * len(table[0])
    if sides is not None:
        table = [[f"**{side}**", *row] for side, row in zip(sides, table, strict=True)]
        top = top if len(top) == len(table[0]) else ["", *top]
    if any(len(row) != len(top) for row in table):
        raise ValueError(f"grid: {len(top)} heads over rows of {sorted({len(row) for row in table})}")
    lines = [top, ["---:" for _ in top], *table]
    return "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"


def percent(value: Any, digits: int = 1) -> str:
    """0.123 -> 12.3 %; the space does not break."""
    return num(100 * float(value), digits) + "\u00a0%"


def whole(value: Any) -> str:
    """The nearest whole number, thousands with commas."""
    return num(round(float(value)) if math.isfinite(float(value)) else value, 0)


def sci(value: Any, digits: int = 2) -> str:
    """0.0000123 -> 1.23 × 10⁻⁵."""
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return num(number, digits)
    mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}".replace("-", MINUS)


def cell(value: Any, digits: int) -> str:
    """One entry: words and whole numbers as they are, others with decimals."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value).replace("-", MINUS) if not isinstance(value, bool) else str(value)
    return "–" if value is None else num(value, digits)


def cells(values: Sequence[Any], digits: int) -> list[str]:
    """Entries side by side: whole numbers as they are only where none of them has decimals."""
    plain = [value.item() if hasattr(value, "item") and not nested(value) else value for value in values]
    if any(isinstance(value, float) for value in plain):
        plain = [float(value) if isinstance(value, int) else value for value in plain]
    return ["" if nested(value) else cell(value, digits) for value in plain]


def listed(values: Any) -> list[Any]:
    """A list of a list, a tuple, an array or a tensor."""
    return list(values.tolist() if hasattr(values, "tolist") else values)


def nested(value: Any) -> bool:
    """Whether a value is itself a row of values."""
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def shown(value: Any, digits: int = 3) -> str:
    """What a call gives, for a code block: numbers with decimals, a matrix row by row, anything else as it prints."""
    if isinstance(value, float) or (hasattr(value, "ndim") and not nested(value)):
        return cell(value, digits)
    if not nested(value):
        return str(value)
    rows = listed(value)
    if isinstance(value, tuple) and any(not _numbers(row) for row in rows):
        return "\n".join(shown(row, digits) for row in rows)
    if any(nested(row) for row in rows):
        return "\n".join(shown(row, digits) for row in rows)
    return vec(rows, digits) if _numbers(rows) else str(value)


def _numbers(value: Any) -> bool:
    if nested(value):
        return all(_numbers(entry) for entry in listed(value))
    return isinstance(value, int | float) or hasattr(value, "item")


FILTERS = {"num": num, "vec": vec, "grid": grid, "percent": percent, "int": whole, "sci": sci}
