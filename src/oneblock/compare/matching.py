"""Sizes solved for: variants with as many parameters, or FLOPs for each token, as the first. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.dense import Dense, Gated
from oneblock.config.errors import ConfigError, OneblockError
from oneblock.config.override import override
from oneblock.inspect.statistics import flops_per_token, parameters

COUNTS: dict[str, Callable[[Config], int]] = {
    "parameters": lambda config: sum(parameters(config).values()),
    "flops": flops_per_token,
}
"""What can be made equal -> its count."""
LARGEST = 1 << 16


def size(config: Config, equal: str) -> int:
    """Parameters, or training FLOPs for each token, of a configuration."""
    return COUNTS[equal](config)


def matched(config: Config, target: int, *, equal: str, solve: str = "hidden", tolerance: float = 0.01) -> Config:
    """The configuration with the size that brings its count nearest to `target`.

    solve: "hidden" changes the inner width of every dense or gated feed-forward, "width" the model's, in steps that
    its heads allow, "shape" first the width as near as it goes and then the feed-forwards. The counts rise with either,
    so the nearest is found by halving. OneblockError where the nearest is further than `tolerance` (a share of the
    target), or where there is nothing to change.
    """
    if solve == "shape":
        near = matched(config, target, equal=equal, solve="width", tolerance=1.0)
        return matched(near, target, equal=equal, tolerance=tolerance)
    if abs(size(config, equal) - target) <= 0.1 * tolerance * target:
        return config
    step, sized = _hidden(config) if solve == "hidden" else _width(config)
    low, high = 1, 2
    while high * step < LARGEST and size(sized(high), equal) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(sized(middle), equal) < target else (low, middle)
    best = min((sized(low), sized(high)), key=lambda found: abs(size(found, equal) - target))
    off = abs(size(best, equal) - target) / target
    if off > tolerance:
        raise OneblockError(
            f"cannot be matched: the nearest {equal} are {size(best, equal):,}, {off:.1%} from the {target:,} of the "
            f"first variant, and {tolerance:.1%} is allowed; hold tokens equal instead, or start from a larger base"
        )
    return best


def _hidden(config: Config) -> tuple[int, Callable[[int], Config]]:
    model = _decoder(config)
    kinds = {type(block.feed_forward) for block in model.blocks if block.count("feed_forward")}
    if not kinds or not kinds <= {Dense, Gated}:
        raise OneblockError(
            "cannot be matched by the feed-forward's inner width: a variant has no dense or gated feed-forward; "
            "solve for the width instead"
        )
    return 1, lambda units: override(config, f"block.feed_forward.hidden={units}")


def _width(config: Config) -> tuple[int, Callable[[int], Config]]:
    """Widths that are a multiple of every head count, twice over: rotary positions turn pairs."""
    model = _decoder(config)
    heads = max(block.attention.num_heads for block in model.blocks)
    step = 2 * heads

    def sized(units: int) -> Config:
        try:
            return replace(config, model=replace(model, width=units * step))
        except ConfigError as error:
            raise OneblockError(f"cannot be matched by the width: {error}") from None

    return step, sized


def _decoder(config: Config) -> Decoder:
    if isinstance(config.model, Decoder):
        return config.model
    raise OneblockError(
        f"cannot be matched: sizes are solved for in decoders, and this is of the kind {type(config.model).__name__}; "
        "make it the first variant, to which others are matched"
    )
