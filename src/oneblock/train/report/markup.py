"""HTML and SVG put together so that text from outside can never be taken for markup."""

from __future__ import annotations

import html
import re

VOID = {"meta", "br"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Markup(str):
    """Text that is markup already; every other text is escaped on its way into an element."""

    __slots__ = ()


def text(value: object) -> Markup:
    """The value as text of a page, escaped; control characters, which a page must not hold, as pictures."""
    if isinstance(value, Markup):
        return value
    plain = str(value).encode("utf-8", "replace").decode()
    return Markup(html.escape(_CONTROL.sub(_picture, plain)))


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """`<name attributes>children</name>`. In attributes `_` is `-`, a last one is dropped."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """The children side by side; None is nothing."""
    return Markup("".join(text(child) for child in children if child is not None))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2421 if code == 0x7F else 0x2400 + code)
