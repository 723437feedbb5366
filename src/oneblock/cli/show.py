"""`oneblock show`: draw a model in the terminal or as SVG, with what it costs."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneblock.cli.common import Verb, at_least, say
from oneblock.config.config import Config
from oneblock.config.errors import ConfigError, OneblockError
from oneblock.config.override import override
from oneblock.config.presets import PRESETS, preset
from oneblock.config.serial import config_from_dict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from oneblock.inspect.facts import Facts

FACTS_WIDTH = 62
"""Columns that the facts take."""


def options(parser: argparse.ArgumentParser) -> None:
    """The options of `oneblock show`."""
    parser.add_argument(
        "target",
        metavar="PRESET|RUN",
        help=f"a preset ({', '.join(PRESETS)}), the folder of a run or of another library's model, a GGUF file, "
        "smollm2-135m, minilm, or a config.json",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also write the drawing as SVG")
    parser.add_argument("--context", type=at_least(1), metavar="N", help="tokens in sight when FLOPs are counted")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Draw, and give the figures."""
    config = override(find(args.target), *args.settings)
    from oneblock.inspect import statistics
    from oneblock.inspect.facts import formula_lines

    parts = statistics.parameters(config)
    result: dict[str, Any] = {
        "parameters": sum(parts.values()),
        "formula": "\n".join(formula_lines(config.model)),
        "flops_per_token": statistics.flops_per_token(config, args.context),
        "forward_flops_per_token": statistics.forward_flops_per_token(config, args.context),
        "cache_bytes_per_token": statistics.cache_bytes_per_token(config, 2),
        "cache_bytes_per_number": 2,
        "context": args.context or config.model.context,
        "parts": parts,
    }
    if args.svg:
        from oneblock.inspect.svg import svg

        write_drawing(args.svg, svg(config, args.context))
        result["svg"] = str(args.svg)
    if not args.json:
        _print(config, args.context)
    if args.svg:
        say(f"wrote {args.svg}")
    return result


def find(target: str) -> Config:
    """The configuration of a preset, a run's folder or a JSON file; OneblockError lists the presets."""
    if target.replace("_", "-") in PRESETS:
        return preset(target)
    from oneblock.data.known_models import MODELS, model_path

    path = model_path(target)
    if path.suffix == ".gguf" and path.is_file():
        return _of_others(path)
    if path.is_dir():
        from oneblock.runs.folder import CONFIG, Run

        data, path = Run.open(path).read_json(CONFIG), path / CONFIG
        if "model_type" in data:
            return _of_others(path.parent)
    elif path.is_file():
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise OneblockError(f"{path} is not a configuration in JSON: {error}") from error
    else:
        raise OneblockError(
            f"{target} is neither a preset nor the folder of a model nor a GGUF file nor a config.json; "
            f"the presets are {', '.join(PRESETS)}; the models known by name {', '.join(MODELS)}"
        )
    try:
        return config_from_dict(data)
    except ConfigError as error:
        raise OneblockError(f"{path} is not a configuration: {error}") from error


def _of_others(path: Path) -> Config:
    """The configuration of another library's model."""
    from oneblock.runs.load import load_config

    return load_config(path)


def write_drawing(path: Path, drawing: str) -> None:
    """Put an SVG at `path` as a whole; OneblockError where it cannot be."""
    from oneblock.runs.durable import replace
    from oneblock.runs.errors import storing

    if not path.parent.is_dir():
        raise OneblockError(
            f"--svg {path}: there is no folder {path.parent}; make it, or name a file in one that is there"
        )
    if path.is_dir():
        raise OneblockError(f"--svg {path} is a folder; name a file, such as {path / 'model.svg'}")
    data = drawing.encode()
    with storing("the drawing", path, len(data), "Nothing was changed."):
        replace(path, data)


def _print(config: Config, context: int | None) -> None:
    """The drawing and the facts: side by side where the terminal is wide enough, else one after the other."""
    from rich.console import Console, Group
    from rich.table import Table

    from oneblock.inspect.draw import draw
    from oneblock.inspect.facts import facts

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where there is no ⊕, another sign stands in its place
    console = Console(highlight=False)
    drawing, known = draw(config), facts(config, context)
    width = max(map(len, drawing.plain.splitlines()))
    console.print(f"[bold]{known.title}[/bold]  {known.total:,} parameters · {known.layers}\n", soft_wrap=True)
    if console.is_terminal and console.width >= width + 4 + FACTS_WIDTH:
        beside = Table.grid(padding=(0, 4))
        beside.add_row(drawing, Group(*_facts(known)))
        console.print(beside)
        return
    console.print(drawing, soft_wrap=not console.is_terminal, no_wrap=True, crop=console.is_terminal)
    console.print(Group("", *_facts(known)), width=None if console.is_terminal else 80)
    if console.is_terminal and console.width < width:
        say(f"the drawing is {width} columns wide and this terminal {console.width}; widen it, or use --svg FILE")


def _facts(known: Facts) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [
        Text("Formula", style="bold"),
        *(Text(f"  {line}") for line in known.formula),
    ]
    for heading, rows in known.tables:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
        table.add_column(width=28)
        table.add_column(width=18, justify="right")
        table.add_column(width=9, justify="right", style="dim")
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:], style="bold" if row[0] == "total" else None)
        parts += [Text(), Text(heading, style="bold"), table]
    return parts


VERB = Verb(name="show", summary="draw a model: dataflow, formula, parameters, FLOPs, cache", options=options, run=run)
