"""Writes docs/map.md: every file of the package with the first sentence of its docstring. `python docs/make_map.py`."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "oneblock"
MAP = ROOT / "docs" / "map.md"


def first_sentence(path: Path) -> str:
    """What a file's docstring says first."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def made() -> str:
    """The map as Markdown."""
    lines = ["# The map of the house", "", "Made by `python docs/make_map.py`; imports only go down the page.", ""]
    rooms = "config nn models weights data machine runs inspect decoding train compare doctor learn bench cli"
    order = rooms.split()
    for room in [*order, *sorted(p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name not in order)]:
        folder = PACKAGE / room
        files = sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")
        if not files:
            continue
        lines += [f"## {room}/", "", first_sentence(folder / "__init__.py"), ""]
        lines += [f"- `{path.relative_to(PACKAGE).as_posix()}` — {first_sentence(path)}" for path in files] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    MAP.write_text(made(), encoding="utf-8")
