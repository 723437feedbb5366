"""Layers with and without a window, as the word for each layer's type that transformers has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.weights.errors import WeightsError
from oneblock.weights.options import Options

LOCAL, GLOBAL = "sliding_attention", "full_attention"


def layer_types(local: Iterable[bool]) -> list[str]:
    """The word for each layer."""
    return [LOCAL if each else GLOBAL for each in local]


def windows_of(types: Sequence[str], window: int | None, options: Options) -> list[int | None]:
    """The window of each layer; WeightsError for another word, another number of layers, or no window to take."""
    layers = options["num_hidden_layers"]
    wrong = sorted(set(types) - {LOCAL, GLOBAL})
    if wrong:
        raise WeightsError(f"{options.where}: layer_types has {wrong[0]!r}; supported: {LOCAL}, {GLOBAL}")
    if len(types) != layers:
        raise WeightsError(f"{options.where}: layer_types has {len(types)} entries and num_hidden_layers is {layers}")
    if window is None and LOCAL in types:
        raise WeightsError(f"{options.where}: layer_types has {LOCAL!r} and there is no sliding_window")
    return [window if each == LOCAL else None for each in types]


def windowed(options: Options, block: Block) -> list[Block]:
    """The block of each layer; its window in Qwen's words: none, from `max_window_layers` on, or by `layer_types`."""
    given, first = options["sliding_window"], options.count("max_window_layers", least=0)
    window = given if options["use_sliding_window"] else None
    late = layer_types(window is not None and layer >= first for layer in range(options.count("num_hidden_layers")))
    windows = windows_of(options.list_of("layer_types", str) or late, window, options)
    return [replace(block, attention=replace(block.attention, window=each)) for each in windows]


def window_fields(model: Decoder) -> dict[str, Any]:
    """The windows of a model of ours in Qwen's words."""
    windows = [model.block(layer).attention.window for layer in range(model.num_layers)]
    window = next((each for each in windows if each is not None), None)
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "layer_types": layer_types(each is not None for each in windows),
    }
