"""What a session shows: pages of lines for learn/screen.py's `paint`. Nothing here is asked."""

from __future__ import annotations

import functools
import io
import textwrap
from datetime import timedelta

from oneblock.learn.recall.face import Face, Said
from oneblock.learn.recall.schedule import Rating

Line = tuple[str, str]
"""A line and its style: "", "bold", "good", "bad", "dim"."""
RATINGS = {"1": Rating.Again, "2": Rating.Hard, "3": Rating.Good, "4": Rating.Easy}
WIDEST = 90


def laid(head: Line, body: list[Line], foot: list[Line], size: tuple[int, int], first: int) -> tuple[list[Line], int]:
    """A page, and where its next part begins; 0 where there is no more. first: the line of the body it begins with."""
    width, height = size
    # Where there is little room the empty lines go first, then the foot's upper lines.
    foot = foot[-max(1, height - 2) :]
    gaps = 1 if height - 1 - len(foot) >= 4 else 0
    room = max(1, height - 1 - len(foot) - 2 * gaps)
    rest = body[first:]
    more = len(rest) > room
    shown = [*rest[: room - 1], (" … the space bar shows more", "dim")] if more and room > 1 else rest[:room]
    following = first + max(1, room - 1) if more else 0
    page = [head, *[("", "")] * gaps, *shown, *[("", "")] * gaps, *foot][:height]
    return [(cut(text, width), style) for text, style in page], following


def question(face: Face, width: int, chosen: str = "") -> list[Line]:
    """The front of a card. chosen: the choice that is marked, "" where none is."""
    lines = [(face.title, "dim"), ("", ""), *words(face.prompt, width, "bold"), *([("", "")] if face.choices else [])]
    for number, choice in enumerate(face.choices, 1):
        mark, style = ("▸", "bold") if chosen == str(number) else (" ", "")
        lines += [(text, style) for text, _ in _hung(f"{mark}{number}  ", choice, width)]
    return _moved(lines)


def answer(face: Face, width: int, said: Said | None) -> list[Line]:
    """Both sides, and what the machine says of a typed answer."""
    lines: list[Line] = [(face.title, "dim"), ("", ""), *words(face.prompt, width, "bold"), ("", "")]
    if said is not None:
        given = said.given or "nothing"
        lines += [(f"{'Right' if said.right else 'Not right'}", "good" if said.right else "bad")]
        lines += _hung("you:   ", given, width)
        lines += [] if said.right and face.right is not None else _hung("right: ", said.wanted, width)
        lines += [("", "")]
    rule = "─" * min(width - 2, 12)
    return _moved([*lines, (rule, "dim"), *words(face.answer, width)])


def words(markdown: str, width: int, style: str = "") -> list[Line]:
    """Markdown with maths as lines of readable text."""
    return [(line, style) for line in plain(markdown, min(width, WIDEST) - 2)]


@functools.lru_cache(maxsize=256)
def plain(markdown: str, width: int) -> tuple[str, ...]:
    """As the course shows it in a terminal, without colours: maths as Unicode, links as their words."""
    from rich.console import Console

    from oneblock.learn.course.terminal import THEME, Page

    out = io.StringIO()
    console = Console(file=out, width=max(10, width), theme=THEME, color_system=None, legacy_windows=False)
    console.print(Page(markdown, {}))
    lines = [line.rstrip() for line in out.getvalue().split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return tuple(lines)


def said(text: str, width: int, style: str = "") -> list[Line]:
    """A sentence of the program's own, wrapped."""
    return [(f" {line}", style) for line in textwrap.wrap(text, max(10, min(width, WIDEST) - 2))]


def rating_keys(after: dict[Rating, timedelta], width: int) -> list[Line]:
    """The four keys, and when the card comes back for each."""
    parts = [f"{key} {rating.name.lower()} {span(after[rating])}" for key, rating in RATINGS.items()]
    return rows(parts, width)


def rows(parts: list[str], width: int, style: str = "dim") -> list[Line]:
    """Keys side by side, in as few lines as they need."""
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}   {part}" if lines[-1] else f" {part}"
        if len(joined) > width and lines[-1]:
            lines.append(f" {part}")
        else:
            lines[-1] = joined
    return [(line, style) for line in lines]


def span(time: timedelta) -> str:
    """A length of time in a word or two: `1 min`, `2 days`, `3 months`."""
    days = time.days
    if days < 1:
        return f"{max(1, round(time.total_seconds() / 60))} min"
    for size, name in ((365, "year"), (30, "month"), (1, "day")):
        if days >= size * (2 if size > 1 else 1):
            count = round(days / size)
            return f"{count} {name}{'s' * (count != 1)}"
    return f"{days} days"


def head(text: str, width: int) -> Line:
    """The first line of a page: parts that have no room are left out, the last first; no number is cut."""
    parts = text.split("   ")
    while len(parts) > 1 and len("   ".join(parts)) + 1 > width:
        parts.pop()
    return cut(f" {'   '.join(parts)}", width), "bold"


def cut(text: str, width: int) -> str:
    """At most so many columns: a letter with its hat takes one."""
    from rich.cells import cell_len, chop_cells

    return text if len(text) <= width or cell_len(text) <= width else chop_cells(text, max(1, width - 1))[0] + "…"


def _hung(mark: str, text: str, width: int) -> list[Line]:
    """A text beside a mark."""
    lines = plain(text, max(10, min(width, WIDEST) - 2 - len(mark)))
    return [((mark if not at else " " * len(mark)) + line, "") for at, line in enumerate(lines)]


def _moved(lines: list[Line]) -> list[Line]:
    return [(f" {text}" if text else "", style) for text, style in lines]
