"""What the loop shows: pages of lines, each with a style, fitted to a width and a height. Nothing here is asked."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from oneblock.learn.grade import Grade
from oneblock.learn.lab import STATES, Step, code

Line = tuple[str, str]
"""A line and its style: "", "bold", "good", "bad", "dim"."""
CODES = {"": "", "bold": "\x1b[1m", "good": "\x1b[32m", "bad": "\x1b[31m", "dim": "\x1b[2m"}
MARKS = {"right": "✓", "changed": "~", "begun": "·", "new": " ", "gone": "!"}
KEYS = "n next   h hint{}   d diff   l list   r reset   q quit"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one page is made of. hints: those that were asked for; word: the loop's own, such as "grading …"."""

    step: Step
    total: int
    done: int
    file: str
    grade: Grade | None = None
    lesson: str = ""
    hints: int = 0
    word: str = ""


def page(shown: Shown, width: int, height: int) -> list[Line]:
    """The exercise: where one is, what is wrong or that it is right, and the keys at the bottom."""
    width = min(width, 100)
    body = _body(shown, width)
    keys = _keys(shown)
    foot = [("", ""), *_wrap(shown.word, width, "bold"), *_keys_wrapped(keys, width)]
    room = height - len(foot) - 3
    if len(body) > room:
        body = [*body[: room - 1], (" … the space bar shows the rest", "dim")]
    return [(_cut(text, width), style) for text, style in (*_head(shown, width), *body, *foot)][:height]


def whole(shown: Shown, width: int) -> str:
    """The same without the keys, however long."""
    return "\n".join(text for text, _ in _body(shown, min(width, 100)))


def listing(steps: list[Step], width: int, height: int, typed: str = "", drawings: str = "") -> list[Line]:
    """All exercises and how they stand; `drawings`: a line on those, which are no exercises."""
    done = sum(step.state == "right" for step in steps)
    lines = [(f" {done} of {len(steps)} are right", "bold"), ("", "")]
    apart = [("", ""), (f" {drawings}", "dim")] if drawings else []
    lines += [*[row(step, width) for step in steps][: height - 5 - len(apart)], *apart]
    told = f" number and Enter: go there; Enter: go back  {typed}"
    return [(_cut(text, width), style) for text, style in (*lines, ("", ""), (told, "dim"))][:height]


def row(step: Step, width: int) -> Line:
    """One exercise as a line of the list."""
    # On a narrow screen the exercise's own name comes first.
    said = "" if step.state == "new" else STATES[step.state] if width >= 60 else step.state
    more = f", {step.hints} hint{'s' * (step.hints != 1)}" if step.hints and said and width >= 60 else ""
    text = f" {MARKS[step.state]} {step.number:2}  {step.name:16} {step.title}"
    room = max(12, min(width, 100) - len(said + more) - 2)
    return f"{_cut(text, room):{room}} {said}{more}".rstrip(), "good" if step.state == "right" else ""


def reading(title: str, text: str, width: int, height: int, first: int = 0) -> tuple[list[Line], bool]:
    """A part of a long text, and whether there is more of it."""
    rows = [part for line in text.splitlines() for part in _folded(line, width - 1)]
    room = max(1, height - 4)
    more = first + room < len(rows)
    shown = [(line, _of_diff(line)) for line in rows[first : first + room]]
    told = "space for more, any other key goes back" if more else "any key goes back"
    page = [(_cut(f" {title}", width), "bold"), ("", ""), *shown, ("", ""), (_cut(f" {told}", width), "dim")]
    return page[:height], more


def diff_text(diff: str, also: tuple[str, ...]) -> str:
    """The difference to the reference, and what else is right."""
    said = diff or "Yours is the reference, word for word."
    if also:
        wrapped = [
            line for entry in also for line in textwrap.wrap(entry, 74, initial_indent="- ", subsequent_indent="  ")
        ]
        said += "\n\nRight too:\n" + "\n".join(wrapped)
    return said


def paint(lines: list[Line], colour: bool) -> str:
    """A page as a terminal takes it: from the upper left corner, everything else cleared."""
    styled = [f"{CODES[style]}{text}\x1b[0m" if colour and style else text for text, style in lines]
    return "\x1b[H\x1b[2J" + "\r\n".join(styled)


def _head(shown: Shown, width: int) -> list[Line]:
    right = f"{shown.done} of {shown.total} right "
    bar = "━" * round(20 * shown.done / max(1, shown.total))
    bar = f"{bar:─<20}  {right}" if width >= 60 else right
    title = _cut(f" {shown.step.number}  {shown.step.title}", max(0, width - len(bar) - 2))
    # Of a long path its end is what counts.
    file = shown.file if len(shown.file) < width else "…" + shown.file[2 - width :]
    return [
        (f"{title:{max(0, width - len(bar))}}{bar}", "bold"),
        (f" {file}", "dim"),
        ("", ""),
    ]


def _body(shown: Shown, width: int) -> list[Line]:
    if shown.step.state == "gone":
        return _wrap(f"{shown.file} is not there; r makes it anew.", width, "bad")
    if shown.grade is None:
        begin = "Open the file: the lesson stands at its top. Whenever you save it, it is graded here."
        lesson = [line for entry in shown.lesson.splitlines() for line in _wrap(entry, width, "dim")]
        return [*_wrap(begin, width), ("", ""), *lesson]
    return _right(shown.grade, width) if shown.grade.passed else _wrong(shown.grade, shown.hints, width)


def _right(grade: Grade, width: int) -> list[Line]:
    head = f"Right: all {len(grade.checks)} checks pass. A plain way to write it:"
    lines = [(part, "") for line in code(grade.reference).splitlines() for part in _folded(f"   {line}", width)]
    also = [line for entry in grade.also for line in _wrap(f"- {entry}", width)]
    return [
        *_wrap(head, width, "good"),
        ("", ""),
        *lines,
        ("", ""),
        *(_wrap("Right too:", width) if also else []),
        *also,
    ]


def _wrong(grade: Grade, hints: int, width: int) -> list[Line]:
    message, more = grade.failure
    where = f" (line {grade.line})" if grade.line and f"line {grade.line}" not in message else ""
    lines = _wrap(f"{grade.asked}: {message}{where}", width, "bad")
    if more:
        lines += [("", ""), *_wrap(more, width, "bold")]
    names = ("Property", "Place", "Way")
    for name, hint in list(zip(names, grade.hints, strict=False))[:hints]:
        lines += [("", ""), *_wrap(f"{name}: {hint}", width)]
    if grade.worked:
        lines += [("", ""), *_wrap(f"Small enough for paper: {grade.worked}", width)]
    if grade.said():
        lines += [
            ("", ""),
            (" Your code printed:", "dim"),
            *((part, "dim") for said in grade.said(5) for part in _folded(f"   {said}", width)),
        ]
    good, waiting = (sum(line.status == status for line in grade.checks) for status in ("PASS", "SKIP"))
    waits = f", {waiting} more wait{'s' * (waiting == 1)} for this one" if waiting else ""
    return [*lines, ("", ""), (f" {good} of {len(grade.checks)} checks pass{waits}", "dim")]


def _keys(shown: Shown) -> str:
    hints = len(shown.grade.hints) if shown.grade and not shown.grade.passed else 0
    told = f" {shown.hints}/{hints}" if hints else ""
    return KEYS.format(told)


def _wrap(text: str, width: int, style: str = "") -> list[Line]:
    indent = " - " if text.startswith("- ") else " "
    later = " " * len(indent)
    found = textwrap.wrap(text.removeprefix("- "), width - 1, initial_indent=indent, subsequent_indent=later)
    return [(line, style) for line in found] or [("", "")]


def _keys_wrapped(keys: str, width: int) -> list[Line]:
    """The keys, on several lines where one is too narrow; a key and its word stay together."""
    lines = textwrap.wrap("   ".join(pair.replace(" ", "\xa0") for pair in keys.split("   ")), max(1, width - 1))
    return [(f" {line}".replace("\xa0", " "), "dim") for line in lines]


def _folded(line: str, width: int) -> list[str]:
    """A line of code or of a report on as many lines as it needs; what goes on stands further in."""
    if len(line) <= width:
        return [line]
    start = line[: len(line) - len(line.lstrip(" +-"))]
    # A difference keeps its mark; the rest is blank.
    later = f"{start[:1]}{' ' * (len(start) + 3)}"
    if width < len(later) + 8:
        return [_cut(line, width)]
    return textwrap.wrap(line, width, subsequent_indent=later) or [line]


def _of_diff(line: str) -> str:
    return {"+": "good", "-": "bad", "@": "dim"}.get(line[:1], "") if not line.startswith("- ") else ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
