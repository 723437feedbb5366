"""`report.html`: one page that tells a run, readable without a network, a script or this package."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import oneblock
from oneblock.config.config import Config
from oneblock.config.dit import DiT
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.presets import PRESETS
from oneblock.config.serial import diff, to_dict
from oneblock.config.vision import Vision
from oneblock.inspect.formula import formula_text
from oneblock.inspect.statistics import parameters
from oneblock.inspect.svg import svg
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.runs.jsonform import from_words
from oneblock.runs.metrics import MetricsLog
from oneblock.train.report.curves import draw_curves
from oneblock.train.report.figures import counted, duration, figures, kept_step, number
from oneblock.train.report.frame import framed, tiles
from oneblock.train.report.happenings import happenings
from oneblock.train.report.history import History, read_history
from oneblock.train.report.markup import Markup, element, join
from oneblock.train.report.pieces import even, section, table

MOST_SAMPLES, MOST_CHARACTERS, MOST_ROWS = 12, 3000, 60


def write_report(run: Run, config: Config) -> Path:
    """Write `report.html` from what the run's folder holds, whatever state the run is in."""
    history = read_history(MetricsLog(run.path / "metrics.jsonl").read())
    result = _read(run, "result.json")
    # A result of an earlier sitting says nothing of the steps since.
    if history.step > result.get("steps", 0):
        result = {}
    return run.write_text("report.html", page(run, config, history, result, _read(run, "data.json")))


def page(run: Run, config: Config, history: History, result: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """The whole page as HTML."""
    return framed(
        f"{config.name} on {data.get('name', config.recipe.data)}",
        element("p", _state(history, result), class_="soft"),
        tiles(figures(history, result, data, config)),
        _commands(run, config, history, result, data),
        _curves(history, config, kept_step(history, result)),
        _samples(history),
        _model(config),
        happenings(history),
        _configuration(config),
        _origin(run, config, history, data),
    )


def _read(run: Run, name: str) -> dict[str, Any]:
    try:
        value = from_words(run.read_json(name))
    except RunError:
        return {}
    return value if isinstance(value, dict) else {}


def _state(history: History, result: Mapping[str, Any]) -> str:
    steps = counted(history.step, "step")
    seconds = result.get("seconds", history.steps[-1]["seconds"] if history.steps else None)
    took = f" in {duration(seconds)}" if seconds is not None else ""
    if result.get("finished"):
        return f"Finished: {steps}{took}."
    if not history.step:
        return "No step has been taken yet."
    return f"Not finished: {steps}{took} so far."


def _commands(run: Run, config: Config, history: History, result: Mapping[str, Any], data: Mapping[str, Any]) -> Markup:
    where = shlex.quote(str(history.start.get("run") or run.path))
    resume = f"oneblock train --resume --out {where}"
    if result.get("finished"):
        resume += f" --steps {2 * max(history.step, 1)}"
    generate = f"oneblock generate {where} --prompt {_prompt(history, data)}"
    return section(
        "Commands",
        element("p", "This run:"),
        element("pre", "\n".join(history.commands) or "(started from Python)"),
        element("p", "Let it write:"),
        element("pre", generate),
        element("p", "Train it longer:" if result.get("finished") else "Go on with it:"),
        element("pre", resume),
    )


def _prompt(history: History, data: Mapping[str, Any]) -> str:
    """The beginning of a text it wrote, whose characters it surely knows."""
    if data.get("name") == "shakespeare" or not history.samples:
        return '"ROMEO:"'
    words = [line.strip() for line in str(history.samples[-1]["text"]).splitlines() if line.strip().isprintable()]
    return shlex.quote(next((line[:16].strip() for line in words if line), "…"))


def _curves(history: History, config: Config, kept: int | None) -> Markup:
    charts = draw_curves(history, config, kept)
    rows = [
        (
            f"{event['step']:,}",
            number(event.get("selection_loss"), 4),
            number(event.get("averaged_selection_loss"), 4),
            number(event.get("val_loss"), 4),
            ("averaged" if event.get("averaged") else "plain") + (", kept" if event.get("kept") else ""),
        )
        for event in even(history.evaluations, MOST_ROWS)
    ]
    names = ("step", "selection, plain", "selection, averaged", "validation of the better", "better weights")
    return section(
        "Curves over the steps",
        *(charts or [element("p", "There is no finite loss to draw.", class_="soft")]),
        _details(f"{counted(len(history.evaluations), 'evaluation')} as numbers", table(names, rows, numbers=4))
        if rows
        else element("p", "No evaluation yet.", class_="soft"),
    )


def _samples(history: History) -> Markup | None:
    if not history.samples:
        return None
    texts = [
        join(element("h3", f"Step {event['step']:,}"), element("pre", str(event.get("text"))[:MOST_CHARACTERS]))
        for event in even(history.samples, MOST_SAMPLES)
    ]
    return section("What it writes as it learns", *texts)


def _model(config: Config) -> Markup:
    counts = {part: count for part, count in parameters(config).items() if count}
    total = sum(counts.values())
    rows = [
        (
            part.replace("_", " "),
            f"{count:,}",
            f"{100 * count / total:.1f} %",
            element("span", class_="bar", style=f"width:{100 * count / total:.1f}%"),
        )
        for part, count in counts.items()
    ]
    return section(
        "The model",
        element(
            "div",
            Markup(svg(config)),
            class_="wide model",
            tabindex=0,
            role="group",
            aria_label="The model drawn",
        ),
        _details("Formula of the whole model", element("pre", formula_text(config.model))),
        _details("Parameters for each part", table(("part", "parameters", "share", ""), rows, numbers=3)),
    )


def _configuration(config: Config) -> Markup:
    if config.name in PRESETS:
        changes = diff(PRESETS[config.name](), config)
        rows = [(path, _value(old), _value(new)) for path, (old, new) in changes.items()]
        names = ("setting", f"preset {config.name}", "this run")
        words = table(names, rows) if rows else element("p", f"As the preset {config.name} has it.")
    else:
        words = element("p", f"{config.name} is no preset, so there is nothing to compare with.")
    whole = element("pre", json.dumps(to_dict(config), indent=2, ensure_ascii=False))
    return section("Configuration", words, _details("All settings", whole))


def _origin(run: Run, config: Config, history: History, data: Mapping[str, Any]) -> Markup:
    start = history.start
    machine = start.get("machine") or {}
    memory = machine.get("memory")
    rows = [
        ("data", data.get("origin") or start.get("data")),
        ("SHA-256 of the data", data.get("sha256")),
        _alphabet(config),
        ("accelerator", machine.get("accelerator")),
        ("processor", machine.get("processor")),
        ("cores, threads", f"{machine['cores']}, {machine['threads']}" if "threads" in machine else None),
        ("memory", f"{memory / 2**30:.1f} GiB" if memory else None),
        ("precision", f"{start.get('precision')}, {'compiled' if start.get('compiled') else 'not compiled'}"),
        ("torch", machine.get("torch")),
        ("oneblock", oneblock.__version__),
        ("run", start.get("run") or run.path),
    ]
    return section("Data and machine", table((), [(name, value) for name, value in rows if value]))


def _details(summary: str, *children: object) -> Markup:
    return element("details", element("summary", summary), element("div", *children, class_="wide"))


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _alphabet(config: Config) -> tuple[str, str]:
    """What the model reads."""
    match config.model:
        case DiT() | Vision() as model:
            height, width = model.sides
            return "images", f"{height} × {width}, {model.channels} channel(s), in patches of {model.patch}"
        case EncoderDecoder() as model:
            return "tokens", f"{model.source_vocab:,} of the source, {model.target_vocab:,} of the target"
        case model:
            return "tokenizer", f"{config.recipe.tokenizer}, {model.vocab_size:,} tokens"
