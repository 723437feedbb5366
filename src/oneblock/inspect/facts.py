"""What is said of a model beside its drawing: formula, parameters for each part, FLOPs, cache bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from oneblock.config.block import Block
from oneblock.config.config import Config, Model, model_of
from oneblock.config.dit import DiT
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.images import Images
from oneblock.inspect.columns import columns
from oneblock.inspect.dataflow import Dataflow, dataflow
from oneblock.inspect.images import image_words
from oneblock.inspect.statistics import (
    active_parameters,
    cache_bytes_per_token,
    flops_per_token,
    forward_flops_per_image,
    forward_flops_per_token,
    memory_bytes_per_token,
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


def facts(config: Config | Model, context: int | None = None) -> Facts:
    """The facts of a model, FLOPs at `context` tokens (the configuration's, if not given)."""
    model = model_of(config)
    length, counts = context or model.context, parameters(model)
    total = sum(counts.values())
    if isinstance(model, Images):
        layers = f"{model.num_layers} layer{'s' * (model.num_layers > 1)}"
        what, many = ("patch", "patches") if isinstance(model, DiT) else ("token", "tokens")
        return Facts(
            title=config.name if isinstance(config, Config) else type(model).__name__.lower(),
            total=total,
            layers=f"{layers}, width {model.width:,}, images {image_words(model)}, {model.context:,} {many}",
            formula=tuple(piece for line in formula_lines(model) for piece in folded(line)),
            tables=(
                ("Parameters", _parameter_rows(counts, total, active_parameters(model), model.tied)),
                ("FLOPs per image", _image_rows(model, context)),
                (f"FLOPs per {what}, its share of the image", _flop_rows(model, context)),
            ),
        )
    depths = [column.num_layers for column in columns(model)]
    contexts = " and ".join(f"{context or column.context:,}" for column in columns(model))
    layers = f"{' + '.join(map(str, depths))} layer{'s' * (depths != [1])}"
    return Facts(
        title=config.name if isinstance(config, Config) else columns(model)[-1].title,
        total=total,
        layers=f"{layers}, width {model.width:,}, context {contexts}",
        formula=tuple(piece for line in formula_lines(model) for piece in folded(line)),
        tables=(
            ("Parameters", _parameter_rows(counts, total, active_parameters(model), model.tied)),
            (f"FLOPs per token, context {contexts}", _flop_rows(model, context)),
            *_cache_tables(model, length),
        ),
    )


def formula_lines(model: Model) -> list[str]:
    """The formula of the block; of each in turn, under its layers, where there are several."""
    from oneblock.inspect.formula import formula

    flow = dataflow(model)
    if flow.source is None:
        return _block_lines(flow, formula)
    return [
        line
        for name, part in (("encoder", flow.source), ("decoder", flow))
        for line in (f"{name}:", *(f"  {line}" for line in _block_lines(part, formula)))
    ]


def _block_lines(flow: Dataflow, formula: Callable[[Block], list[str]]) -> list[str]:
    if len(flow.blocks) == 1:
        return formula(flow.blocks[0].option)
    return [line for block in flow.blocks for line in (f"{block.title}:", *formula(block.option))]


def folded(line: str, width: int = FORMULA_WIDTH) -> list[str]:
    """A long formula broken before its additions, the rest indented."""
    lines = [""]
    for piece in re.split(r"(?= [+] )", line):
        if lines[-1].strip() and len(lines[-1] + piece) > width:
            lines.append("   ")
        lines[-1] += piece
    return lines


def _parameter_rows(counts: dict[str, int], total: int, active: int, tied: bool) -> Rows:
    rows = []
    for part, count in counts.items():
        if count:
            rows.append((part.replace("_", "-"), f"{count:,}", f"{100 * count / total:.1f} %"))
        elif part == "head" and tied:
            rows.append(("head", "–", "tied"))
    rows.append(("total", f"{total:,}", nearly(total)))
    return (*rows, *((("a token passes", f"{active:,}", nearly(active)),) if active < total else ()))


def _image_rows(model: Images, context: int | None) -> Rows:
    forward = forward_flops_per_image(model, context)
    rows = {"forward": forward, "training": 3 * forward, "multiply-adds": forward // 2}
    return tuple((words, f"{count:,}", nearly(count)) for words, count in rows.items())


def _flop_rows(model: Model, context: int | None) -> Rows:
    forward, training = forward_flops_per_token(model, context), flops_per_token(model, context)
    return (
        ("forward", f"{forward:,}", nearly(forward)),
        ("training", f"{training:,}", nearly(training)),
    )


def _cache_tables(model: Model, length: int) -> Iterator[tuple[str, Rows]]:
    token, source = cache_bytes_per_token(model, 2), memory_bytes_per_token(model, 2)
    if token:
        yield "Key/value cache per token", _cache_rows(token, length)
    if isinstance(model, EncoderDecoder):
        yield "Memory's keys and values per source token", _cache_rows(source, model.encoder.context)


def _cache_rows(token: int, length: int) -> Rows:
    kept = {"16 bit": token, "32 bit": 2 * token, f"{length:,} tokens in 16 bit": length * token}
    return tuple((words, f"{count:,} bytes", in_bytes(count)) for words, count in kept.items())
