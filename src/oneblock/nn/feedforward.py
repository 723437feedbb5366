"""Feed-forwards, by option: dense and gated ones, and mixtures of experts."""

from __future__ import annotations

from oneblock.config import feedforward as config
from oneblock.nn.dense import Dense, Gated
from oneblock.nn.experts.mixture import GShard, Switch, TopK

FEED_FORWARDS: dict[type, type[Dense] | type[Gated] | type[Switch] | type[GShard] | type[TopK]] = {
    config.Dense: Dense,
    config.Gated: Gated,
    config.Switch: Switch,
    config.GShard: GShard,
    config.TopK: TopK,
}

__all__ = ["FEED_FORWARDS", "Dense", "GShard", "Gated", "Switch", "TopK"]
