"""Draws the pictures of docs/doctor.md from models that are run. `python docs/make_doctor_pictures.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "doctor"
sys.path.insert(0, str(ROOT / "tests" / "shared"))

import doctor_zoo as zoo  # noqa: E402

import oneblock  # noqa: E402
from oneblock.doctor.examine import examine  # noqa: E402
from oneblock.doctor.look import attentions  # noqa: E402
from oneblock.doctor.pages.views import influence, shares  # noqa: E402
from oneblock.doctor.patient import Patient, difference  # noqa: E402

STYLE = """
text { font: 13px system-ui, "Segoe UI", Roboto, Arial, "DejaVu Sans", sans-serif; fill: #1b2028 }
.soft { fill: #59626f; font-size: 11px } .bed { fill: #f6f7f9; stroke: #dde1e7 } .good { fill: #1f6fc0 }
.bad { fill: #c62828 } .paper { fill: #fff } .number { font-size: 11px }
.strong { fill: #fff }
@media (prefers-color-scheme: dark) { text { fill: #e4e8ee } .soft { fill: #a0a9b6 } .paper { fill: #14171c }
  .bed { fill: #1d2128; stroke: #343b46 } .good { fill: #6cb1f5 } .bad { fill: #ff7a70 }
  .strong { fill: #14171c } }
"""
SIDE, GAP, TOP = 18, 34, 34
Panel = tuple[str, Sequence[Sequence[float]], Callable[[int, int], bool]]
"""Words above, how strong each cell is, and which cells are wrong."""


def patient(model: torch.nn.Module) -> Patient:
    """A patient, not yet asked anything."""
    met: list[Patient] = []
    examine(model, only=["E1"], meet=met.append)
    return met[0]


def draw(
    name: str, across: str, down: str, panels: Sequence[Panel], *, side: int = SIDE, numbers: bool = False
) -> None:
    """Panels side by side, one SVG file that follows the reader's light or dark."""
    x, parts, high = GAP, [], 0
    for words, cells, wrong in panels:
        wide, tall = side * len(cells[0]), side * len(cells)
        parts.append(f'<text x="{x}" y="{TOP - 12}">{escape(words)}</text>')
        parts.append(f'<rect class="bed" x="{x}" y="{TOP}" width="{wide}" height="{tall}"/>')
        for r, row in enumerate(cells):
            for c, value in enumerate(row):
                kind, at = ("bad" if wrong(r, c) else "good"), f'x="{x + c * side}" y="{TOP + r * side}"'
                opacity = 0 if value <= 0 else 0.25 + 0.75 * min(value, 1.0)
                parts.append(f'<rect class="{kind}" {at} width="{side}" height="{side}" fill-opacity="{opacity:.2f}"/>')
                if numbers:
                    ink = "number strong" if value > 0.5 else "number"
                    at = f'x="{x + (c + 0.5) * side}" y="{TOP + (r + 0.6) * side}"'
                    parts.append(f'<text class="{ink}" {at} text-anchor="middle">{value:.0%}</text>')
        parts.append(f'<text class="soft" x="{x}" y="{TOP + tall + 16}">{escape(across)} →, {escape(down)} ↓</text>')
        x, high = x + max(wide, 7 * len(words), 6 * len(f"{across} →, {down} ↓")) + GAP, max(high, tall)
    size = f'width="{x}" height="{TOP + high + 28}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {x} {TOP + high + 28}" role="img">'
    body = [head, f"<style>{STYLE}</style>", f'<rect class="paper" {size}/>', *parts, "</svg>", ""]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text("\n".join(body), encoding="utf-8")


def seen(model: torch.nn.Module, *, train: bool = False, length: int = 10) -> list[list[float]]:
    """Which token moves which answer."""
    target = patient(model).stirred
    target.module.train(train)
    with torch.no_grad():
        moves = influence(target, target, length, 0).moves
    return [[0.0 if value < 1e-5 else 0.4 + 0.6 * min(value, 1.0) for value in row] for row in moves]


def later(t: int, s: int) -> bool:
    """Above the diagonal."""
    return s > t


def never(t: int, s: int) -> bool:
    """Nothing is wrong."""
    return False


def nano(*settings: str) -> torch.nn.Module:
    """A small nano with options."""
    return oneblock.build(oneblock.override(oneblock.presets.nano(), *zoo.SMALL, *zoo.TOKENS, *settings), seed=0)


def rows_that_move(model: torch.nn.Module) -> list[list[float]]:
    """Row j of a batch is changed: which rows' answers move?"""
    target = patient(model).stirred
    x, cells = target.sample(5, 5, 0), []
    with torch.no_grad():
        plain = target(x)
        for j in range(5):
            changed = x.clone()
            changed[j] = (x[j] + 1) % target.vocab_size
            cells.append([float(difference(target(changed)[i], plain[i]) > 1e-5) for i in range(5)])
    return list(zip(*cells, strict=True))  # type: ignore[arg-type]


def tokens_that_move(norm: torch.nn.Module) -> list[list[float]]:
    """Token s of a stream is changed: at which tokens does the norm give something else?"""
    x, cells = torch.randn(1, 7, 24, generator=torch.Generator().manual_seed(0)), []
    with torch.no_grad():
        for s in range(7):
            changed = x.clone()
            changed[:, s] += torch.arange(24) / 5
            gap: Tensor = (norm(changed) - norm(x)).abs().amax(-1)[0]
            cells.append([float(value > 1e-5) for value in gap])
    return list(zip(*cells, strict=True))  # type: ignore[arg-type]


def entropies(model: torch.nn.Module, loud: float = 1.0) -> list[list[float]]:
    """Of each attention and head, as a share of uniform; `loud`: the first blocks' q, k and v times as large."""
    target = patient(model).plain
    with torch.no_grad():
        target.module.blocks[0].attn.qkv.weight.mul_(loud)  # type: ignore[index, union-attr]
        return [list(row) for row in shares(attentions(target, target.sample(2, 12, 0)), 2)]


def main() -> None:
    """All of them."""
    faults = ("", "mask two too far", "no mask", "mean over blocks of four")
    draw("C1", "token changed", "answer", [(each or "causal", seen(zoo.ill("Gpt", each)), later) for each in faults])
    ill = zoo.ill("Gpt", "no mask in training")
    modes = [("eval: well", seen(ill), later), ("train: no mask", seen(ill, train=True), later)]
    draw("C1-paths", "token changed", "answer", modes)
    one = [(f"window {n}, one block", seen(nano("num_layers=1", f"block.attention.window={n}")), never) for n in (3, 4)]
    two = [("window 3, two blocks", seen(nano("block.attention.window=3")), never)]
    draw("C4", "token changed", "answer", [*one, *two])
    draw(
        "C5",
        "token changed",
        "answer",
        [("nothing tells them apart", seen(zoo.ill("Gpt", "")), lambda t, s: t > 4 >= s)],
    )
    mixed = [(each or "rows alone", rows_that_move(zoo.ill("Gpt", each))) for each in ("", "batch and tokens swapped")]
    draw(
        "B1", "row changed", "row that moves", [(words, cells, lambda i, j: i != j) for words, cells in mixed], side=26
    )
    norms = [(each or "each token alone", zoo.ill("Gpt", each).blocks[0].norm1) for each in ("", "norm over tokens")]
    panels = [(words, tokens_that_move(norm), lambda t, s: t != s) for words, norm in norms]
    draw("N2", "token changed", "token that moves", panels)  # type: ignore[arg-type]
    heads = [
        ("as it starts", entropies(zoo.ill("Gpt", ""))),
        ("scores 400 × as large", entropies(zoo.ill("Gpt", ""), 20)),
    ]
    draw("A3", "head", "attention", [(words, cells, never) for words, cells in heads], side=48, numbers=True)


if __name__ == "__main__":
    main()
