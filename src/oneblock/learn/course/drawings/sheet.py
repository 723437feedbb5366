"""A drawing as it was typed: its lines without comments, its settings (`T = 7`), its sections (`[pre]`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

COMMENT = "//"
_SETTING = re.compile(r"(?P<name>[A-Za-z]\w*)\s*=\s*(?P<value>[^\s=>].*)$")
_NUMBER = re.compile(r"[+\-−]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_SECTION = re.compile(r"\[\s*(?P<name>[\w -]+?)\s*\]$")


@dataclass(frozen=True, kw_only=True)
class Typed:
    """One line that is no comment: its number from 1, its text, the section that it stands in."""

    number: int
    text: str
    section: str = ""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`name = value` with a number or a word. A `?` still to be filled in is an empty value."""

    value: str
    line: int

    @property
    def number(self) -> float | None:
        """As a number; None where it is none."""
        return float(self.value.replace("−", "-")) if _NUMBER.match(self.value) else None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A file's drawing: lines that draw, and settings by their names in small letters."""

    lines: tuple[Typed, ...]
    settings: dict[str, Setting]

    def of(self, section: str) -> Sheet:
        """The part below `[section]`."""
        return replace(self, lines=tuple(line for line in self.lines if line.section == section))

    def setting(self, name: str) -> Setting | None:
        """A setting that has been filled in."""
        found = self.settings.get(name.lower())
        return found if found and found.value else None


def read(text: str, words: tuple[str, ...] = ()) -> Sheet:
    """The drawing in a text. words: settings whose value may be a word; others are settings only with a number or ?."""
    lines: list[Typed] = []
    settings: dict[str, Setting] = {}
    section = ""
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        typed = raw.split(COMMENT)[0].strip()
        if not typed:
            continue
        if found := _SECTION.match(typed):
            section = found["name"].lower()
            continue
        if found := _SETTING.match(typed):
            name, value = found["name"].lower(), found["value"].strip()
            if name in words or _NUMBER.match(value) or set(value) <= set("?…."):
                settings[name] = Setting(value="" if set(value) <= set("?…") else value, line=number)
                continue
        lines.append(Typed(number=number, text=typed, section=section))
    return Sheet(lines=tuple(lines), settings=settings)
