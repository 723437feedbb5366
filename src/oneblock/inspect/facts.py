"""What is said of a model beside its drawing: formula, parameters for each part, FLOPs, cache bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.inspect.dataflow import BlockFlow, dataflow
from oneblock.inspect.statistics import (
    cache_bytes_per_token,
    flops_per_token,
    forward_flops_per_token,
    parameters,
)
from oneblock.inspect.words import in_bytes, nearly

Rows = tuple[tuple[str, str, str], ...]
FORMULA_WIDTH = 52
"""Characters after which a formula is broken, so that it stands beside the drawing."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """`tables`: heading and rows of (what, figure, remark)."""

    title: str
    total: int
    layers: str
    formula: tuple[str, ...]
    tables: tuple[tuple[str, Rows], ...]


def facts(config: Config | Decoder, context: int | None = None) -> Facts:
    """The facts of a model, FLOPs at `context` tokens (the configuration's, if not given)."""
    model = config.model if isinstance(config, Config) else config
    length, counts = context or model.context, parameters(model)
    total = sum(counts.values())
    layers = f"{model.num_layers} layer{'s' * (model.num_layers > 1)}"
    return Facts(
        title=config.name if isinstance(config, Config) else "decoder",
        total=total,
        layers=f"{layers}, width {model.width:,}, context {length:,}",
        formula=tuple(piece for line in formula_lines(model) for piece in folded(line)),
        tables=(
            ("Parameters", _parameter_rows(counts, total, model.tied)),
            (f"FLOPs per token, context {length:,}", _flop_rows(model, length)),
            ("Key/value cache per token", _cache_rows(model, length)),
        ),
    )


def formula_lines(model: Decoder) -> list[str]:
    """The formula of the block; of each in turn, under its layers, where the pattern has several."""
    from oneblock.inspect.formula import formula

    blocks: tuple[BlockFlow, ...] = dataflow(model).blocks
    if len(blocks) == 1:
        return formula(blocks[0].option)
    return [line for block in blocks for line in (f"{block.title}:", *formula(block.option))]


def folded(line: str, width: int = FORMULA_WIDTH) -> list[str]:
    """A long formula broken before its additions, the rest indented."""
    lines = [""]
    for piece in re.split(r"(?= [+] )", line):
        if lines[-1].strip() and len(lines[-1] + piece) > width:
            lines.append("   ")
        lines[-1] += piece
    return lines


def _parameter_rows(counts: dict[str, int], total: int, tied: bool) -> Rows:
    rows = []
    for part, count in counts.items():
        if count:
            rows.append((part.replace("_", "-"), f"{count:,}", f"{100 * count / total:.1f} %"))
        elif part == "head" and tied:
            rows.append(("head", "–", "tied"))
    return (*rows, ("total", f"{total:,}", nearly(total)))


def _flop_rows(model: Decoder, length: int) -> Rows:
    forward, training = forward_flops_per_token(model, length), flops_per_token(model, length)
    return (
        ("forward", f"{forward:,}", nearly(forward)),
        ("training", f"{training:,}", nearly(training)),
    )


def _cache_rows(model: Decoder, length: int) -> Rows:
    token = cache_bytes_per_token(model, 2)
    kept = {"16 bit": token, "32 bit": 2 * token, f"{length:,} tokens in 16 bit": length * token}
    return tuple((words, f"{count:,} bytes", in_bytes(count)) for words, count in kept.items())
