"""The headline numbers of a run, from its result, or from its metrics where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from oneblock.config.config import Config
from oneblock.config.objective import Denoise
from oneblock.inspect.statistics import parameters
from oneblock.train.report.curves import smoothing_window
from oneblock.train.report.history import History


class Figure(NamedTuple):
    """A name, its value as words, and what must be known to read it."""

    name: str
    value: str
    remark: str = ""


def figures(history: History, result: Mapping[str, Any], data: Mapping[str, Any], config: Config) -> list[Figure]:
    """The headline numbers, the most important one first."""
    return [
        *_validation(history, result, data, config),
        *_training(history, result),
        *_cost(history, result, config),
    ]


def characters_per_token(data: Mapping[str, Any], config: Config) -> float | None:
    """Of the validation split; None where it cannot be told."""
    if config.recipe.tokenizer == "chars":
        return 1.0
    known = data.get("characters_per_token")
    known = known.get("validation") if isinstance(known, Mapping) else known
    return float(known) if isinstance(known, (int, float)) and known > 0 else None


def _validation(history: History, result: Mapping[str, Any], data: Mapping[str, Any], config: Config) -> list[Figure]:
    loss, remark = result.get("val_loss"), "nats per token, whole split, kept weights, float32"
    kept = history.kept
    if loss is None and kept is not None:
        loss, remark = kept["val_loss"], "nats per token, whole split, kept weights, when they were kept"
    if loss is None:
        return [Figure("Validation loss", "–", "no evaluation yet")]
    per_character = characters_per_token(data, config)
    unit = "character" if per_character else "token"
    bits = loss / (math.log(2) * (per_character or 1.0))
    step = kept_step(history, result)
    chosen = "chosen on the selection split" if result.get("selection_loss") is not None else "the last ones"
    averaged = result.get("kept_weights") or ("averaged" if kept and kept.get("averaged") else "plain")
    figures = [
        Figure("Validation loss", number(loss, 4), remark),
        Figure("Kept step", f"{step:,}" if step else "–", f"{averaged} weights, {chosen}"),
        *_measures(result),
    ]
    if not isinstance(config.recipe.objective, Denoise):
        remark = "" if per_character else "characters per token not known"
        figures[1:1] = [
            Figure("Perplexity", number(perplexity(loss), 3), "e to the validation loss"),
            Figure(f"Bits per {unit}", number(bits, 3), remark),
        ]
    return figures


def _measures(result: Mapping[str, Any]) -> list[Figure]:
    """What the objective is judged by besides its loss."""
    found = {name: value for name, value in result.items() if name.endswith(("_accuracy", "_rate"))}
    return [
        Figure(name.replace("_", " ").capitalize(), f"{100 * value:.2f} %", "kept weights, validation split")
        for name, value in found.items()
        if value is not None
    ]


def kept_step(history: History, result: Mapping[str, Any]) -> int | None:
    """The step whose weights are kept; None before the first evaluation."""
    step = result.get("kept_step")
    return step if step is not None or history.kept is None else history.kept["step"]


def _training(history: History, result: Mapping[str, Any]) -> list[Figure]:
    if result.get("train_loss") is not None:
        loss = result["train_loss"]
        known = result.get("train_perplexity")
        remark = "kept weights, long excerpts" + (f"; perplexity {number(known, 3)}" if known else "")
        return [Figure("Training loss", number(loss, 4), remark)]
    if not history.steps:
        return [Figure("Training loss", "–", "no step yet")]
    last = [event["loss"] for event in history.steps[-smoothing_window(len(history.steps)) :]]
    mean = math.fsum(last) / len(last) if all(map(math.isfinite, last)) else math.nan
    return [Figure("Training loss", number(mean, 4), f"mean of the last {counted(len(last), 'step')}")]


def _cost(history: History, result: Mapping[str, Any], config: Config) -> list[Figure]:
    start = history.start
    rate, remark = result.get("tokens_per_second"), ""
    last = history.steps[-1] if history.steps else {}
    if rate is None and last.get("seconds"):
        rate, remark = last["tokens"] / last["seconds"], "evaluations and compilation included"
    share, peak, flops = result.get("peak_share"), start.get("peak_flops"), start.get("flops_per_token")
    if share is None and rate and peak and flops:
        share = rate * flops / peak
    steps = result.get("steps", history.step)
    tokens = result.get("tokens", last.get("tokens", 0))
    compiled = result.get("compile_seconds")
    planned = (start.get("horizon") or {}).get("steps")
    for event in history.happenings:
        planned = event["steps"] if event["event"] == "horizon" else planned
    unfinished = f"of {planned:,} planned; " if planned and planned > steps else ""
    return [
        Figure("Tokens per second", number(rate, 0), remark),
        Figure(
            "Matrix peak used",
            "–" if share is None else f"{number(100 * share, 1)} %",
            f"of {_flops(peak)} measured, {start.get('precision', '')}" if peak else "",
        ),
        Figure("Parameters", f"{result.get('parameters') or sum(parameters(config).values()):,}"),
        Figure(
            "Time",
            duration(result.get("seconds", last.get("seconds"))),
            f"{compiled:.1f} s of it in the first step and compilation" if compiled else "",
        ),
        Figure("Steps", f"{steps:,}", f"{unfinished}{tokens:,} tokens"),
    ]


def number(value: float | None, decimals: int) -> str:
    """A number with so many decimals and commas; a dash where there is none."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "not a number"
    if abs(value) >= 1e9:
        return "∞" if math.isinf(value) else f"{value:.3g}"
    return f"{value:,.{decimals}f}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def counted(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def perplexity(loss: float) -> float:
    """e^loss, infinite where that is beyond what a float can hold."""
    return math.exp(loss) if loss < 700 else math.inf if loss == loss else loss


def _flops(rate: float) -> str:
    return f"{rate / 1e9:,.0f} GFLOP/s" if rate < 1e12 else f"{rate / 1e12:,.1f} TFLOP/s"
